"""What the person is told of texts that came while they looked elsewhere. No Tk here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from iirs.client.model.chat_model import ChatModel
from iirs.client.store.preferences import Notify, Preferences
from iirs.client.text.display import one_line
from iirs.client.text.translate import _, n_

BADGE_MOST = 99
_TEXT_MOST = 140


@dataclass(frozen=True, slots=True)
class Notification:
    """What a notification says."""

    title: str
    text: str = field(repr=False)
    count: int = 1
    """How many texts it tells of."""


def merged(waiting: Notification | None, news: Notification) -> Notification:
    """Return one notification for two: of more than one text it says the number only."""
    if waiting is None:
        return news
    return _counted(waiting.count + news.count)


def nameless(waiting: Notification | None) -> Notification | None:
    """Return a notification without names and texts: the number only."""
    return None if waiting is None else _counted(waiting.count)


def _counted(count: int) -> Notification:
    return Notification("iirs", n_("A new message", "{count} new messages", count).format(count=count), count)


def notification(
    arrived: Sequence[tuple[str, str, str]], preferences: Preferences, *, locked: bool
) -> Notification | None:
    """Return what to tell the desktop of new (talk, author, text), or ``None`` for nothing.

    Without text, and always while locked, it holds neither names nor texts.
    """
    if not arrived or preferences.notifications is Notify.OFF:
        return None
    if locked or preferences.notifications is Notify.WITHOUT_TEXT or len(arrived) > 1:
        return _counted(len(arrived))
    (_talk, author, text) = arrived[0]
    return Notification(one_line(author), one_line(text, _TEXT_MOST))


def title(model: ChatModel, *, locked: bool, inside: bool) -> str:
    """Return the window's title: whose it is and how much is unread; neither while locked."""
    if locked or not inside:
        return "iirs"
    count = str(model.unread) if model.unread <= BADGE_MOST else f"{BADGE_MOST}+"
    badge = f"({count}) " if model.unread else ""
    return _("{badge}{me} · iirs").format(badge=badge, me=model.me)
