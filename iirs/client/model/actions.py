"""What the widgets of a logged-in window ask for, as one value of callables: a test can be the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


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
