"""``TerminalLogin``: what a terminal asks before the talk, each thing again if the answer does not do."""

from __future__ import annotations

import argparse
import getpass
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from iirs.chain import JoinLink
from iirs.client.account.entry_calls import Home
from iirs.client.account.password_keys import check_password
from iirs.client.account_tasks import Credentials, LoggedIn, NotLoggedIn, Remembered, log_in
from iirs.client.server_connection import ServerConnection
from iirs.client.terminal import Streams
from iirs.errors import AccountError, ChainError, ConfigError, ConnectionLostError, IirsError
from iirs.identity import checked_name
from iirs.wire.accounts import RefusedError, Result

TRIES = 3
"""How often each thing is asked, and how often somebody tries to get in."""
_PASSWORD_LINE_MAX = 10_000
"""Characters that are read of a password file: it may be one without an end."""
_TO_ASK = {
    Result.WRONG_PASSWORD: "password",
    Result.NAME_TAKEN: "name",
    Result.UNKNOWN_NAME: "name",
    Result.DELETED: "name",
}
"""What another answer may mend, by the server's refusal."""


def read_password(path: Path) -> str:
    """Return the first line, as it stands, without its end and a byte order mark."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(_PASSWORD_LINE_MAX)
    except OSError as error:
        raise ConfigError(
            f"The password file cannot be read: {error.strerror or 'no reason given'}."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError("The password file cannot be read as UTF-8 text.") from error
    if len(line) == _PASSWORD_LINE_MAX:
        raise ConfigError("The first line of the password file is too long.")  # and would be cut
    password = line.removesuffix("\n").removesuffix("\r")
    if not password:
        raise ConfigError("The first line of the password file is empty.")
    return password


def ask_hidden(question: str, streams: Streams) -> str:
    """Ask for what must not be seen. Raises ``ConfigError`` if typing cannot be hidden, ``EOFError``."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(question, streams.status)
        except getpass.GetPassWarning as error:
            raise ConfigError("Typing cannot be hidden here: use --password-file.") from error
        except UnicodeDecodeError as error:  # of a terminal that has no such letters: what was typed is in it
            print(file=streams.status)
            typed = bytes(error.object).splitlines()[0]
            return typed.decode("utf-8", "surrogateescape")


_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class _Answers:
    link: str
    new: bool
    name: str
    password: str
    peer: str


class TerminalLogin:
    """Takes what the command line says, and asks for the rest. What it says is not asked again."""

    def __init__(self, options: argparse.Namespace, home: Home, streams: Streams) -> None:
        self._options = options
        self._home = home
        self._streams = streams
        self._remembered = Remembered.read(home.folder)

    def log_in(self) -> tuple[ServerConnection, str]:
        """Return the account's connection, not yet started, and the peer. Raises ``IirsError``."""
        try:
            answers = self._answers()
            result = self._try(answers)
            for _ in range(TRIES - 1):
                if isinstance(result, NotLoggedIn) and self._asks_again(answers, result):
                    result = self._try(answers)
        except EOFError as error:
            raise ConfigError("The input ended before everything was answered.") from error
        if isinstance(result, NotLoggedIn):
            raise AccountError(result.sentence)
        return result.connection, answers.peer

    def _answers(self) -> _Answers:
        options = self._options
        if options.link:
            JoinLink.parse(options.link)  # a link that is none is said before anything else is asked
        link = options.link or self._ask_link()
        new = options.register
        if not (options.register or options.login):
            new = self._ask("(r)egister or (l)og in? ", "--register or --login", _is_register)
        name = checked_name(options.username) if options.username else self._ask_name("")
        if options.password_file:
            password = read_password(options.password_file)
        else:
            password = self._ask_password(name, new=new)

        def other(text: str) -> str:
            if (peer := checked_name(text)) == name:
                raise AccountError("That is your own name. Choose somebody else to talk to.")
            return peer

        peer = (
            other(options.peer)
            if options.peer
            else self._ask("Whom do you want to talk to? ", "--peer", other)
        )
        return _Answers(link, new, name, password, peer)

    def _ask(
        self,
        question: str,
        flag: str,
        check: Callable[[str], _Answer],
        read: Callable[[str, Streams], str] | None = None,
    ) -> _Answer:
        """Ask until ``check`` takes the answer, three times at most; it raises ``IirsError`` if not."""
        if not self._streams.input.isatty():
            raise ConfigError(f"{flag} is needed when nobody is there to be asked.")
        for _ in range(TRIES - 1):
            try:
                return check(self._read(question, read))
            except IirsError as error:
                self._say(str(error))
        return check(self._read(question, read))

    def _read(self, question: str, read: Callable[[str, Streams], str] | None) -> str:
        if read is not None:
            return read(question, self._streams)
        line = self._streams.ask(question)
        if not line:
            raise EOFError
        return line.strip()

    def _ask_link(self) -> str:
        last = self._remembered.link

        def check(text: str) -> str:
            JoinLink.parse(text or last)
            return text or last

        return self._ask(f"Join link{f' [{last}]' if last else ''}: ", "LINK", check)

    def _ask_name(self, peer: str) -> str:
        def check(text: str) -> str:
            if (name := checked_name(text)) == peer:
                raise AccountError("That is whom you want to talk to. Choose a name of your own.")
            return name

        return self._ask("Name: ", "--username", check)

    def _ask_password(self, name: str, *, new: bool) -> str:
        """Ask for a password; for a new one twice, as nobody sees a slip in what is not shown."""

        def check(password: str) -> str:
            if new:
                check_password(name, password)
                if ask_hidden("Password again: ", self._streams) != password:
                    raise AccountError("The two are not the same. Type the password twice.")
            return password

        return self._ask("Password: ", "--password-file", check, ask_hidden)

    def _asks_again(self, answers: _Answers, refusal: NotLoggedIn) -> bool:
        """Ask for what may mend a refusal; return False if nothing that was asked may."""
        options, error = self._options, refusal.error
        wrong = "link" if isinstance(error, ChainError | ConnectionLostError) else ""
        if isinstance(error, RefusedError):
            wrong = _TO_ASK.get(error.result, "")
        elif type(error) is AccountError and answers.new:
            wrong = "password"  # not a good one together with a name that was asked again
        given = {"link": options.link, "name": options.username, "password": options.password_file}
        if given.get(wrong, True):
            return False
        self._say(refusal.sentence)
        if wrong == "link":
            answers.link = self._ask_link()
        elif wrong == "name":
            answers.name = self._ask_name(answers.peer)
        else:
            answers.password = self._ask_password(answers.name, new=answers.new)
        return True

    def _try(self, answers: _Answers) -> LoggedIn | NotLoggedIn:
        """Try to get in; tell what the person should know."""
        credentials = Credentials(
            answers.link,
            answers.name,
            answers.password,
            new=answers.new,
            keys_stay_here=self._options.keys_stay_here,
        )
        result = log_in(self._home, credentials)
        if result.on_trust:
            self._say(
                "first visit to this server, and the join link has no fingerprint: it is taken on trust now "
                "and checked from here on"
            )
        if isinstance(result, LoggedIn):
            for remark in result.put_aside_remarks():
                self._say(remark)
        return result

    def _say(self, sentence: str) -> None:
        print(f"iirs: {sentence}", file=self._streams.status, flush=True)


def _is_register(answer: str) -> bool:
    """Return whether it is to register. Raises ``AccountError`` unless the answer says."""
    first = answer.lower()[:1]
    if first not in {"r", "l"}:
        raise AccountError("Type r to register, or l to log in.")
    return first == "r"
