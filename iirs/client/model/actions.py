"""What the widgets of a logged-in window ask for, as one value of callables: a test can be the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from iirs.client.engine import Engine
from iirs.client.model.background import BackgroundWork
from iirs.client.server_connection import ServerConnection


@dataclass(frozen=True, slots=True)
class Actions:
    """All of them return at once; what comes of it is told as events. A *talk* is a name or a group's key."""

    # -- conversations
    ask: Callable[[str], None]
    """Ask a person to talk, or accept."""
    decline: Callable[[str], None]
    """Put away a person's wish to talk; they are told nothing."""
    hang_up: Callable[[str], None]
    """End a conversation, stop asking, or give up the place in the queue."""
    # -- what is said
    send: Callable[[str, str], None]
    """Send a text to a talk; one that is refused comes back."""
    send_file: Callable[[str, Path], None]
    send_pasted: Callable[[str, str, bytes], None]
    """Send to a talk a file of this name and content, which is on no disk."""
    pause: Callable[[bytes], None]
    """Pause or resume sending a file."""
    cancel: Callable[[bytes], None]
    """Stop a file, ours or one that arrives."""
    save: Callable[[bytes, Path], None]
    """Write a file that has arrived to a place the person has chosen."""
    pictures: Callable[[Sequence[bytes], int], None]
    """Make small pictures of these files that are here, and of no others; so many pixels a side at most."""
    # -- history
    read: Callable[[str, bytes | None], None]
    """Read a talk's newest entries, or those before one that is known."""
    read_back_to: Callable[[str, bytes, bytes], None]
    """Read a talk's entries before one that is known, back to another."""
    search: Callable[[str, str], None]
    """Look for words in a talk, or in all ("")."""
    export: Callable[[str, Path], None]
    delete: Callable[[str, bytes], None]
    """Delete one entry here."""
    clear: Callable[[str], None]
    """Delete a talk's entries here."""
    set_timer: Callable[[str, int], None]
    """Have entries disappear here after so many seconds, and ask the others to; 0: never."""
    leave_timer: Callable[[str], None]
    """Leave a talk's time as it is, whatever somebody else has set; they are told nothing."""
    # -- groups
    create_group: Callable[[str, tuple[str, ...]], None]
    """Found a group under a name with people."""
    join_group: Callable[[str], None]
    leave_group: Callable[[str], None]
    # -- safety
    verify: Callable[[str, bool], None]
    """Mark a person's safety number as compared, or not."""
    accept_keys: Callable[[str], None]
    """Go on with a person whose keys have changed, or after two directories were seen."""
    # -- the window
    show_settings: Callable[[], None]
    log_out: Callable[[], None]


def actions_for(
    connection: ServerConnection,
    background: BackgroundWork,
    show_settings: Callable[[], None],
    log_out: Callable[[], None],
) -> Actions:
    """Return what can be asked for of a connection, and the two that the window does itself."""

    def tell(function: Callable[[Engine], object]) -> None:
        connection.act(function)

    return Actions(
        ask=connection.ask,
        decline=lambda peer: tell(lambda engine: engine.slots.decline(peer)),
        hang_up=connection.hang_up,
        send=background.send,
        send_file=background.send_file,
        send_pasted=background.send_pasted,
        pause=lambda file_id: tell(lambda engine: engine.messenger.pause(file_id)),
        cancel=lambda file_id: tell(lambda engine: engine.messenger.cancel(file_id)),
        save=background.save,
        pictures=background.pictures.want,
        read=background.read,
        read_back_to=background.read_back_to,
        search=background.search,
        export=background.export,
        delete=lambda talk, item: connection.call(lambda engine: engine.messenger.delete(talk, item)),
        clear=background.clear,
        set_timer=lambda talk, seconds: tell(lambda engine: engine.messenger.set_timer(talk, seconds)),
        leave_timer=lambda talk: tell(lambda engine: engine.messenger.leave_timer(talk)),
        create_group=lambda name, people: tell(lambda engine: engine.messenger.create_group(name, people)),
        join_group=lambda key: tell(lambda engine: engine.messenger.join_group(key)),
        leave_group=lambda key: tell(lambda engine: engine.messenger.leave_group(key)),
        verify=lambda name, verified: tell(lambda engine: engine.messenger.verify(name, verified)),
        accept_keys=lambda name: tell(lambda engine: engine.messenger.accept_keys(name)),
        show_settings=show_settings,
        log_out=log_out,
    )
