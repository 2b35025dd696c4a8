"""What a window says about disappearing messages: in the talk, and above it while somebody waits."""

from __future__ import annotations

from iirs.client.text.text_layout import duration
from iirs.client.text.translate import _


def timer_set(seconds: int) -> str:
    """Return what our person's own time means, 0 being none."""
    if not seconds:
        return _("From now on messages stay here until you delete them")
    return _("From now on messages disappear here after {time}").format(time=duration(seconds))


def timer_wish(author: str, seconds: int) -> str:
    """Return what somebody else has set for themselves, and would like here."""
    if not seconds:
        return _("{peer} lets messages stay, and would like you to do so").format(peer=author)
    sentence = _("{peer} lets messages disappear after {time}, and would like you to do so")
    return sentence.format(peer=author, time=duration(seconds))
