"""``iirs-client``: connect, log in, open the window, or do the same in a terminal."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path

from iirs.chain import JoinLink, parse_chain
from iirs.client.account.entry_calls import Home
from iirs.client.desktop import menu_entry as desktop_entry
from iirs.client.leave_signals import INTERRUPTED
from iirs.client.terminal import Streams, TerminalChat
from iirs.client.terminal_login import TerminalLogin, read_password
from iirs.errors import ChainError, ConfigError, IirsError
from iirs.paths import data_directory
from iirs.standard_streams import program


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line's values. Exits with 2 and a sentence if they make no sense."""
    parser = argparse.ArgumentParser(
        prog="iirs-client", description="Chat without anyone seeing that you do: a window, or --terminal."
    )
    parser.add_argument("link", nargs="?", help="the join link: iirs://host:port/#...")
    parser.add_argument(
        "--chain-file", type=Path, help="accept this chain only, whatever the join link leaves out"
    )
    parser.add_argument(
        "--terminal",
        action="store_true",
        help="no window: lines in, PEER> text out; a line that begins with / is a command: see /help",
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--register", action="store_true", help="create the account")
    action.add_argument("--login", action="store_true", help="log in to an existing account")
    parser.add_argument("--username", help="your name")
    parser.add_argument("--password-file", type=Path, help="file whose first line is your password")
    parser.add_argument("--peer", help="whom to talk to")
    parser.add_argument("--say", help="in a window: a first text for --peer")
    parser.add_argument(
        "--linger", type=float, default=0.0, help="in a terminal: seconds to keep receiving at the end"
    )
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
        return _main(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


@program("iirs-client")
def _main(arguments: list[str] | None) -> int:
    return _run(parse_arguments(arguments))


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
    connection, peer = TerminalLogin(options, home, streams).log_in()
    return TerminalChat(connection, peer, streams, options.linger).run()


def _pinned_link(link: str | None, chain_file: Path) -> JoinLink:
    """Return the link with the fingerprint of a chain file. Raises ``ConfigError`` if it names another."""
    if link is None:
        raise ConfigError("--chain-file goes with a join link, which says where the chain's entry is.")
    parsed = JoinLink.parse(link)
    try:
        chain = parse_chain(chain_file.read_bytes())
        parsed.check(chain.chain_id, None)
    except OSError as error:
        raise ConfigError("The chain file cannot be read.") from error
    except ChainError as error:
        raise ConfigError(f"The join link and --chain-file do not go together. {error}") from error
    return replace(parsed, fingerprint=chain.chain_id)


if __name__ == "__main__":
    sys.exit(main())
