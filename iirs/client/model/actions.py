"""What the widgets of a logged-in window ask for, as one value of callables: a test can be the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from iirs.client.engine import Engine
from iirs.client.model.background import Librarian
from iirs.client.server_connection import ServerConnection


@dataclass(frozen=True, slots=True)
class Requests:
    """All of them return at once; what comes of it is told as events. A *talk* is a name or a group's key."""

    # -- conversations
    ask: Callable[[str], None]
    """Ask a person to talk, or accept."""
    decline: Callable[[str], None]
    """Put away a person's wish to talk; they are told nothing."""
    hang_up: Callable[[str], None]
    """End a conversation, stop asking, or give up the place in the queue."""
    open: Callable[[str], None]
    """Look at a talk; "" for the page that asks whom to talk to."""
    # -- what is said
    send: Callable[[str, str], bool]
    """Send a text to a talk; returns whether it was taken."""
    send_file: Callable[[str, Path], None]
    pause: Callable[[bytes], None]
    """Pause or resume sending a file."""
    cancel: Callable[[bytes], None]
    """Stop a file, ours or one that arrives."""
    save: Callable[[bytes, Path], None]
    """Write a file that has arrived to a place the person has chosen."""
    picture: Callable[[bytes, int], None]
    """Make a small picture of a file that is here, of so many pixels a side at most, if it is one."""
    # -- history
    older: Callable[[str], None]
    """Read older entries of a talk."""
    around: Callable[[str, bytes], None]
    """Read a talk's entries back to one of them."""
    search: Callable[[str, str], None]
    """Look for words in a talk, or in all ("")."""
    export: Callable[[str, Path], None]
    delete: Callable[[str, bytes], None]
    """Delete one entry here."""
    clear: Callable[[str], None]
    """Delete a talk's entries here."""
    set_timer: Callable[[str, int], None]
    """Have entries disappear after so many seconds, on both sides; 0: never."""
    # -- groups
    create_group: Callable[[str, tuple[str, ...]], None]
    """Found a group under a name with people."""
    join_group: Callable[[str], None]
    leave_group: Callable[[str], None]
    # -- safety
    show_safety: Callable[[str], None]
    """Open the dialog with the safety number of a person."""
    verify: Callable[[str, bool], None]
    """Mark a person's safety number as compared, or not."""
    accept_keys: Callable[[str], None]
    """Go on with a person whose keys have changed, or after two directories were seen."""
    # -- the account
    show_settings: Callable[[], None]
    lock: Callable[[], None]
    log_out: Callable[[], None]


@dataclass(frozen=True, slots=True)
class WindowActions:
    """Those requests that the window itself answers."""

    open: Callable[[str], None]
    send: Callable[[str, str], bool]
    older: Callable[[str], None]
    around: Callable[[str, bytes], None]
    show_safety: Callable[[str], None]
    show_settings: Callable[[], None]
    lock: Callable[[], None]
    log_out: Callable[[], None]


def requests_for(connection: ServerConnection, librarian: Librarian, window: WindowActions) -> Requests:
    """Return the requests of a window; each returns at once."""

    def tell(function: Callable[[Engine], object]) -> None:
        connection.call(function)

    return Requests(
        ask=connection.ask,
        decline=lambda peer: tell(lambda engine: engine.slots.decline(peer)),
        hang_up=connection.hang_up,
        open=window.open,
        send=window.send,
        send_file=librarian.send_file,
        pause=lambda file_id: tell(lambda engine: engine.messenger.pause(file_id)),
        cancel=lambda file_id: tell(lambda engine: engine.messenger.cancel(file_id)),
        save=librarian.save,
        picture=librarian.read_picture,
        around=window.around,
        older=window.older,
        search=librarian.search,
        export=librarian.export,
        delete=lambda talk, item: tell(lambda engine: engine.messenger.delete(talk, item)),
        clear=librarian.clear,
        set_timer=lambda talk, seconds: tell(lambda engine: engine.messenger.set_timer(talk, seconds)),
        create_group=lambda name, people: tell(lambda engine: engine.messenger.create_group(name, people)),
        join_group=lambda key: tell(lambda engine: engine.messenger.join_group(key)),
        leave_group=lambda key: tell(lambda engine: engine.messenger.leave_group(key)),
        show_safety=window.show_safety,
        verify=lambda name, verified: tell(lambda engine: engine.messenger.verify(name, verified)),
        accept_keys=lambda name: tell(lambda engine: engine.messenger.accept_keys(name)),
        show_settings=window.show_settings,
        lock=window.lock,
        log_out=window.log_out,
    )
