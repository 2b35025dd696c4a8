"""``iirs-client``: connect, log in, open the window, or do the same in a terminal."""

from __future__ import annotations

import argparse
import getpass
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from iirs.chain import JoinLink, parse_chain
from iirs.client.account.entry_calls import Home
from iirs.client.account_tasks import Credentials, NotLoggedIn, Remembered, log_in
from iirs.client.desktop import menu_entry as desktop_entry
from iirs.client.server_connection import ServerConnection
from iirs.client.terminal import INTERRUPTED, Streams, TerminalChat
from iirs.errors import AccountError, ChainError, ConfigError, IirsError
from iirs.identity import checked_name
from iirs.paths import data_directory

_PASSWORD_LINE_MAX = 10_000
"""Characters that are read of a password file: it may be one without an end."""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line's values. Exits with 2 and a sentence if they make no sense."""
    parser = argparse.ArgumentParser(
        prog="iirs-client", description="Chat without anyone seeing that you do: a window, or --terminal."
    )
    parser.add_argument("link", nargs="?", help="the join link: iirs://host:port/#...")
    parser.add_argument(
        "--chain-file", type=Path, help="accept this chain only, whatever the link leaves out"
    )
    parser.add_argument("--terminal", action="store_true", help="no window: lines in, PEER> text out")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--register", action="store_true", help="create the account")
    action.add_argument("--login", action="store_true", help="log in to an existing account")
    parser.add_argument("--username", help="your name")
    parser.add_argument("--password-file", type=Path, help="file whose first line is your password")
    parser.add_argument("--peer", help="whom to talk to")
    parser.add_argument("--say", help="in a window: a first text for --peer")
    parser.add_argument("--linger", type=float, default=0.0, help="seconds to keep receiving at the end")
    parser.add_argument(
        "--keys-stay-here", action="store_true", help="with --register: never give the server the keys"
    )
    parser.add_argument("--data-dir", type=Path, help="where accounts and histories are kept")
    parser.add_argument(
        "--desktop-entry",
        choices=["install", "remove"],
        help="put iirs in the desktop's menu, or take it out",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the client. Returns 0 when all is well, 1 if refused, 2 if it cannot start, 130 on Ctrl-C."""
    try:
        # What a script starts in the background inherits that SIGINT is ignored: it would only end with its
        # input, as if all had been said.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return _run(parse_arguments(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    try:
        home = Home(options.data_dir or data_directory("iirs"))
        if options.desktop_entry:
            print(desktop_entry.install() if options.desktop_entry == "install" else desktop_entry.remove())
            return 0
        if options.chain_file is not None:
            options.link = str(_pinned_link(options.link, options.chain_file))
        if options.terminal:
            return run_terminal(options, home, Streams.standard())
        from iirs.client.gui import run_window  # noqa: PLC0415  # tkinter is not there on every machine

        password = read_password(options.password_file) if options.password_file else None
        return run_window(
            home,
            options.link,
            username=options.username,
            password=password,
            peer=options.peer,
            say=options.say,
            new=True if options.register else False if options.login else None,
            keys_stay_here=options.keys_stay_here,
        )
    except ConfigError as error:
        print(f"iirs-client: {error}", file=sys.stderr)
        return 2
    except IirsError as error:
        print(f"iirs-client: {error}", file=sys.stderr)
        return 1


def run_terminal(options: argparse.Namespace, home: Home, streams: Streams) -> int:
    """Log in and chat in a terminal, asking for whatever the command line does not say."""
    interactive = streams.input.isatty()

    def ask(question: str, flag: str, read: Callable[[str], str] = streams.ask) -> str:
        if not interactive:
            raise ConfigError(f"{flag} is needed when nobody is there to be asked.")
        return read(question)

    remembered = Remembered.read(home.folder)
    link_text = options.link
    if not link_text:
        hint = f" [{remembered.link}]" if remembered.link else ""
        link_text = ask(f"Join link{hint}: ", "LINK").strip() or remembered.link
    JoinLink.parse(link_text)  # a link that is none is said before anything else is asked
    wants_to_register = options.register
    if not (options.register or options.login):
        wants_to_register = (
            ask("(r)egister or (l)og in? ", "--register or --login").strip().lower().startswith("r")
        )
    name = checked_name(options.username or ask("Name: ", "--username").strip())
    if options.password_file:
        password = read_password(options.password_file)
    else:
        password = ask("Password: ", "--password-file", lambda text: getpass.getpass(text, streams.status))
    peer = checked_name(options.peer or ask("Whom do you want to talk to? ", "--peer").strip())
    if peer == name:
        raise AccountError("That is your own name. Choose somebody else to talk to.")
    credentials = Credentials(
        link_text, name, password, new=wants_to_register, keys_stay_here=options.keys_stay_here
    )
    connection = _log_in(home, credentials, streams)
    return TerminalChat(connection, peer, streams, options.linger).run()


def _log_in(home: Home, credentials: Credentials, streams: Streams) -> ServerConnection:
    """Return the account's connection, not yet started; tell what the person should know."""
    result = log_in(home, credentials)
    if result.on_trust:
        print(
            "iirs: first visit to this server, and the link has no fingerprint: it is taken on trust now "
            "and checked from here on",
            file=streams.status,
        )
    if isinstance(result, NotLoggedIn):
        raise AccountError(result.sentence)
    for remark in result.put_aside_remarks():
        print(f"iirs: {remark}", file=streams.status)
    Remembered(credentials.link, credentials.name).write(home.folder)
    return result.connection


def _pinned_link(link: str | None, chain_file: Path) -> JoinLink:
    """Return the link with the fingerprint of a chain file. Raises ``ConfigError`` if it names another."""
    if link is None:
        raise ConfigError("--chain-file goes with a link, which says where the chain's entry is.")
    parsed = JoinLink.parse(link)
    try:
        chain = parse_chain(chain_file.read_bytes())
        parsed.check(chain.chain_id, None)
    except OSError as error:
        raise ConfigError("The chain file cannot be read.") from error
    except ChainError as error:
        raise ConfigError(f"The link and --chain-file do not go together. {error}") from error
    return replace(parsed, fingerprint=chain.chain_id)


def read_password(path: Path) -> str:
    """Return the first line, as it stands, without its end and a byte order mark."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(_PASSWORD_LINE_MAX)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("The password file cannot be read as UTF-8 text.") from error
    password = line.removesuffix("\n").removesuffix("\r")
    if not password:
        raise ConfigError("The first line of the password file is empty.")
    return password


if __name__ == "__main__":
    sys.exit(main())
