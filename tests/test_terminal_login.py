"""What a terminal asks before the talk: again where another answer may help, and never aloud."""

from __future__ import annotations

import argparse
import getpass
import io
import warnings
from pathlib import Path
from typing import Any

import pytest

from iirs.client import main as client_main
from iirs.client import terminal_login
from iirs.client.account.entry_calls import Home
from iirs.client.account_tasks import Credentials, LoggedIn, NotLoggedIn
from iirs.client.terminal import Streams
from iirs.client.terminal_login import TerminalLogin, ask_hidden
from iirs.errors import AccountError, ChainError, ConfigError, ConnectionLostError, IirsError
from iirs.wire.accounts import RefusedError, Result

LINK = "iirs://127.0.0.1:12345/"
GOOD = "correct horse battery"


class Person(io.StringIO):
    """Somebody at a keyboard, who has these answers and no more."""

    def isatty(self) -> bool:
        return True


class Desk:
    """A person, a screen, and a server that refuses as often as a test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.screen = io.StringIO()
        self.tries: list[Credentials] = []
        self._folder = folder
        self._patch = monkeypatch

    def sit(
        self, typed: list[str], hidden: list[str], refusals: list[IirsError], *options: str
    ) -> tuple[object, str]:
        """Answer questions until there is a connection."""
        left, answers = iter(refusals), iter(hidden)

        def log_in(_: Home, credentials: Credentials) -> Any:
            self.tries.append(credentials)
            refusal = next(left, None)
            if refusal is not None:
                return NotLoggedIn(str(refusal), error=refusal)
            return LoggedIn("connected", credentials.link, on_trust=False)  # type: ignore[arg-type]

        def never_shown(question: str, stream: io.StringIO) -> str:
            stream.write(question)
            if (answer := next(answers, None)) is None:
                raise EOFError
            return answer

        self._patch.setattr(terminal_login, "log_in", log_in)
        self._patch.setattr(getpass, "getpass", never_shown)
        person = Person("".join(f"{line}\n" for line in typed))
        streams = Streams(person, io.StringIO(), self.screen)
        parsed: argparse.Namespace = client_main.parse_arguments(["--terminal", *options])
        return TerminalLogin(parsed, Home(self._folder), streams).log_in()

    @property
    def asked(self) -> list[str]:
        """What was asked, in order."""
        words = ("Join link", "(r)egister", "Name: ", "Password: ", "Password again: ", "Whom")
        text, found = self.screen.getvalue(), []
        for place in range(len(text)):
            found += [word for word in words if text.startswith(word, place)]
        return found


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Desk:
    return Desk(monkeypatch, tmp_path)


WRONG, TAKEN, UNKNOWN = (
    RefusedError(result) for result in (Result.WRONG_PASSWORD, Result.NAME_TAKEN, Result.UNKNOWN_NAME)
)
BEGIN = ["Join link", "(r)egister", "Name: ", "Password: "]


def test_a_wrong_password_is_asked_again_and_nothing_else_is(desk: Desk) -> None:
    """Fixed: one slip, and everything had to be typed anew."""
    result = desk.sit([LINK, "l", "alice", "bob"], ["slip", "another", GOOD], [WRONG, WRONG])
    assert result == ("connected", "bob")
    assert desk.asked == [*BEGIN, "Whom", "Password: ", "Password: "]
    assert [tried.password for tried in desk.tries] == ["slip", "another", GOOD]
    assert {(tried.link, tried.name, tried.new) for tried in desk.tries} == {(LINK, "alice", False)}
    assert desk.screen.getvalue().count("iirs: The password is wrong.\n") == 2
    assert not any(word in desk.screen.getvalue() for word in ("slip", "another", GOOD))


def test_three_wrong_passwords_are_enough(desk: Desk) -> None:
    with pytest.raises(AccountError, match=r"The password is wrong\."):
        desk.sit([LINK, "l", "alice", "bob"], ["1", "2", "3", GOOD], [WRONG] * 4)
    assert len(desk.tries) == 3
    assert desk.asked.count("Password: ") == 3


@pytest.mark.parametrize(
    ("new", "refusal"), [("r", TAKEN), ("l", UNKNOWN), ("l", RefusedError(Result.DELETED))]
)
def test_a_name_that_will_not_do_is_asked_again(desk: Desk, new: str, refusal: RefusedError) -> None:
    typed = [LINK, new, "alice", "bob", "bob", "carol"]
    assert desk.sit(typed, [GOOD, GOOD], [refusal]) == ("connected", "bob")
    assert [tried.name for tried in desk.tries] == ["alice", "carol"], "and bob is whom she wants to talk to"
    assert {tried.password for tried in desk.tries} == {GOOD}


@pytest.mark.parametrize("refusal", [ChainError("another chain"), ConnectionLostError("no answer")])
def test_a_link_that_leads_nowhere_is_asked_again(desk: Desk, refusal: IirsError) -> None:
    other = LINK.replace("12345", "12346")
    assert desk.sit([LINK, "l", "alice", "bob", other], [GOOD], [refusal]) == ("connected", "bob")
    assert [tried.link for tried in desk.tries] == [LINK, other]


def test_answers_that_are_none_are_asked_again_at_once(desk: Desk) -> None:
    typed = ["not a link", LINK, "x", "l", "../alice", "Alice", "alice", "?", "bob"]
    assert desk.sit(typed, [GOOD], []) == ("connected", "bob")
    assert [tried.name for tried in desk.tries] == ["alice"]
    assert desk.screen.getvalue().count("iirs: ") == 5


def test_three_answers_that_are_none_are_enough(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="not a join link"):
        desk.sit([*["not a link"] * 3, LINK], [], [])
    assert desk.tries == []


def test_a_new_password_is_typed_twice_and_must_be_good(desk: Desk) -> None:
    hidden = ["short", GOOD, "correct house battery", GOOD, GOOD]
    assert desk.sit([LINK, "r", "alice", "bob"], hidden, []) == ("connected", "bob")
    assert desk.asked[3:] == [
        "Password: ",
        "Password: ",
        "Password again: ",
        "Password: ",
        "Password again: ",
        "Whom",
    ]
    assert "The two are not the same" in desk.screen.getvalue()
    assert desk.tries[0].password == GOOD


def test_a_password_that_a_new_name_makes_weak_is_asked_again(desk: Desk) -> None:
    weak = AccountError("That password is easy to guess")
    assert desk.sit([LINK, "r", "alice", "bob"], [GOOD] * 4, [weak]) == ("connected", "bob")
    assert desk.asked.count("Password again: ") == 2


@pytest.mark.parametrize(
    ("refusal", "given"),
    [
        (WRONG, "--password-file"),
        (TAKEN, "--username"),
        (UNKNOWN, "--username"),
        (ChainError("another chain"), "LINK"),
        (RefusedError(Result.TOO_MANY), ""),
        (RefusedError(Result.NOT_NOW), ""),
        (IirsError("something"), ""),
    ],
)
def test_what_an_option_says_and_what_no_answer_mends_is_refused_at_once(
    desk: Desk, tmp_path: Path, refusal: IirsError, given: str
) -> None:
    file = tmp_path / "password"
    file.write_text(GOOD)
    options = {
        "--password-file": ("--password-file", str(file)),
        "--username": ("--username", "alice"),
        "LINK": (LINK,),
        "": (),
    }[given]
    typed = [*([] if given == "LINK" else [LINK]), *([] if given == "--username" else ["alice"]), "bob"]
    with pytest.raises(AccountError):
        desk.sit(typed, [GOOD], [refusal], "--login", *options)
    assert len(desk.tries) == 1


@pytest.mark.parametrize("answered", range(4))
def test_the_end_of_the_input_ends_the_questions(desk: Desk, answered: int) -> None:
    """Fixed: Ctrl-D at the password was a traceback."""
    with pytest.raises(ConfigError, match="ended before everything was answered"):
        desk.sit([LINK, "l", "alice"][:answered], [], [])
    assert desk.tries == []


def test_a_password_is_read_where_it_cannot_be_seen_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(*_: object) -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=1)
        return "seen by everybody"

    monkeypatch.setattr(getpass, "getpass", shown)
    with pytest.raises(ConfigError, match="cannot be hidden"):
        ask_hidden("Password: ", Streams(Person(), io.StringIO(), io.StringIO()))


def test_a_password_that_the_locale_cannot_decode_is_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed: it ended the program with a traceback."""

    def undecoded(*_: object) -> str:
        return "Grüße aus Köln\n".encode().decode("ascii")

    monkeypatch.setattr(getpass, "getpass", undecoded)
    streams = Streams(Person(), io.StringIO(), io.StringIO())
    assert ask_hidden("Password: ", streams) == "Grüße aus Köln"


@pytest.mark.parametrize("refused", [WRONG])
def test_where_nobody_can_be_asked_a_refusal_is_final(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: IirsError
) -> None:
    monkeypatch.setattr(Person, "isatty", lambda _: False)
    file = tmp_path / "password"
    file.write_text(GOOD)
    options = (LINK, "--login", "--username", "alice", "--password-file", str(file), "--peer", "bob")
    with pytest.raises(AccountError):
        desk.sit([], [], [refused], *options)
    assert (len(desk.tries), desk.asked) == (1, [])
    with pytest.raises(ConfigError, match="--peer is needed"):
        desk.sit([], [], [], *options[:-2])
