"""``ClientWindow``: one person's window, from logging in to leaving. Its thread is Tk's and never blocks.

Other threads only put values on queues; ``_poll`` takes some of them every few hundredths of a second.
"""

from __future__ import annotations

import queue
import threading
import time
import tkinter as tk
from collections.abc import Callable

from iirs.client.account.entry_calls import Home
from iirs.client.account_tasks import (
    Credentials,
    LoggedIn,
    NotLoggedIn,
    PasswordTold,
    forget,
    log_in,
    password_changed,
    password_refused,
)
from iirs.client.chat_session import TEXT_MAX
from iirs.client.desktop.notification_text import Announcement, announcement, title
from iirs.client.events import ConnectionState, ErrandDone, Notice, PeerChanged
from iirs.client.model.background import Found, LastEntries, Librarian, Picture, Reading, Said
from iirs.client.model.chat_model import ChatModel
from iirs.client.server_connection import ServerConnection
from iirs.client.store.log_entry import HistoryPage
from iirs.client.text.translate import _
from iirs.client.window.navigation import Cover, Start, WindowPages
from iirs.client.window.pages.account_page import AccountPage
from iirs.client.window.pages.shortcuts_page import bind_keys
from iirs.client.window.theme.shapes import RoundedBox
from iirs.client.window.theme.theme import Look
from iirs.client.window.window_state import DesktopTheme, UnlockTried, has_focus

_POLL_MS = 40
_EVENTS_A_TICK = 200
_AT_ONCE_SECONDS = 3.0


class ClientWindow(WindowPages):
    """Fills ``window`` (a ``Tk`` or a ``Toplevel``) and calls ``closed`` when it is over."""

    def __init__(
        self,
        window: tk.Tk | tk.Toplevel,
        look: Look,
        home: Home,
        start: Start,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(window, look, home, start)
        self.notifier: Callable[[Announcement], None] = lambda _: None
        self._closed = closed
        self._peer_to_ask = start.peer
        self._to_say = {start.peer: start.say} if start.say else {}
        self._on_trust = False
        self._at_once_since: float | None = None
        self._next_poll = ""
        window.title("iirs")
        window.configure(background=look.colours.background)
        window.iconphoto(False, look.picture(RoundedBox(64, 64, 18, look.colours.accent)))
        window.protocol("WM_DELETE_WINDOW", self.close)
        for sequence in ("<FocusIn>", "<FocusOut>"):
            window.bind(sequence, lambda _: window.after_idle(self._take_focus), add=True)
        bind_keys(window, self._actions())
        self.show_login()
        if start.credentials is not None:
            self._log_in(start.credentials)
        self._poll()

    def _actions(self) -> dict[str, Callable[[], None]]:
        return {
            "find_people": self._find_people,
            "find_text": self._find_text,
            "new_talk": lambda: self._open(""),
            "new_group": self._new_group,
            "previous": lambda: self._step(-1),
            "next": lambda: self._step(1),
            "back": self._back,
            "settings": lambda: self.cover(Cover.SETTINGS),
            "larger": lambda: self.shell.zoom(1),
            "smaller": lambda: self.shell.zoom(-1),
            "usual": lambda: self.shell.zoom(0),
            "lock": self.lock,
            "help": lambda: self.cover(Cover.KEYS),
            "quit": self.close,
        }

    # -- logging in ---------------------------------------------------------------------------------

    def show_login(self, sentence: str = "") -> None:
        """Show the form, with a sentence about why we are here again."""
        self._sentence = sentence
        self._cover, self.shell.locked = Cover.NONE, False
        self._warnings.clear()
        self._show()

    def _log_in(self, credentials: Credentials) -> None:
        self._logging_in = True
        if self.login_page is not None:
            self.login_page.wait()
        home, options, inbox = self._home, self._start.options, self._inbox

        def work() -> None:
            inbox.put(log_in(home, credentials, options))

        threading.Thread(target=work, name="iirs-login", daemon=True).start()

    def _enter(self, result: LoggedIn) -> None:
        connection = result.connection
        self.connection = connection
        self._logging_in, self._sentence = False, ""
        chain = connection.account.chain
        self.model = ChatModel(connection.account.name, len(chain.hops), chain.slots)
        self.shell.remember(result.link, connection.account.name)
        self.librarian = Librarian(connection, self._inbox.put)
        self._warnings = [(remark, False) for remark in result.remarks(on_trust=self._on_trust)]
        self._on_trust = False
        self._show()
        connection.start()
        self.librarian.read_last_entries()

    # -- talking ------------------------------------------------------------------------------------

    def _send(self, peer: str, text: str) -> bool:
        if len(text.encode("utf-8", "replace")) > TEXT_MAX:
            self.model.notice = _("This text is longer than 64 KiB. Send it in parts.")
            self._refresh()
            return False
        if self.connection is not None:
            self.connection.send(peer, text)
        return True

    def _open(self, peer: str) -> None:
        self._uncover()
        if self.main_page is None or self.connection is None:
            return
        self.main_page.open(peer)
        self._entitle()
        if peer and not self.model.talk(peer).has_history and self.librarian is not None:
            self.librarian.read(peer)

    def _read_older(self, peer: str) -> None:
        talk = self.model.talk(peer)
        first = next((row.text_id for row in talk.rows if row.text_id), b"")
        if first and talk.has_more and self.librarian is not None:
            self.librarian.read(peer, first)

    def _read_back_to(self, peer: str, item_id: bytes) -> None:
        first = next((row.text_id for row in self.model.talk(peer).rows if row.text_id), b"")
        if self.librarian is not None:
            self.librarian.read_back_to(peer, first, item_id)

    def _show_safety(self, peer: str) -> None:
        if self.main_page is not None:
            self.main_page.show_safety(peer)

    def _step(self, step: int) -> None:
        names = [name for name in self.model.order() if name in self.model.talks]
        if names:
            here = names.index(self.model.open_peer) if self.model.open_peer in names else -step
            self._open(names[(here + step) % len(names)])

    def _find_people(self) -> None:
        self._uncover()
        if self.main_page is not None:
            self.main_page.search.focus_set()

    def _find_text(self) -> None:
        self._uncover()
        if self.main_page is not None:
            if self.model.open_peer:
                self.main_page.chat.find()
            else:
                self._find_people()

    def _new_group(self) -> None:
        self._uncover()
        if self.main_page is not None:
            self.main_page.new_group()

    def _back(self) -> None:
        if self._cover is not Cover.NONE:
            self._uncover()
        elif self.main_page is not None:
            talking = bool(self.model.open_peer)
            (self.main_page.chat.entry if talking else self.main_page.welcome.entry).focus_set()

    def _take_focus(self) -> None:
        """What comes while the window has the keyboard counts as looked at, unless it is covered."""
        if not self.is_open:
            return
        model = self.model
        model.focused = self.main_page is not None and has_focus(self.window)
        if model.focused and model.open_peer and model.talk(model.open_peer).unread:
            model.open(model.open_peer)
            self._refresh()

    # -- what the other threads say -----------------------------------------------------------------

    def _poll(self) -> None:
        self._next_poll = ""
        try:
            changed = self._take_inbox()
            changed = self._take_events() or changed
            if changed:
                self._refresh()
            elif self.main_page is not None:
                self.main_page.tick()
            self._watch_end()
            if self.shell.is_time_to_lock:
                self.lock()
        finally:
            if self.is_open:
                self._next_poll = self.window.after(_POLL_MS, self._poll)

    def _take_inbox(self) -> bool:
        changed = False
        while not self._inbox.empty():
            value = self._inbox.get()
            changed = True
            match value:
                case LoggedIn():
                    self._enter(value)
                case DesktopTheme():
                    self.shell.take_theme(value)
                case UnlockTried():
                    self._take_unlock(value)
                case PasswordTold():
                    self._tell_password(value)
                case NotLoggedIn(sentence, on_trust):
                    self._logging_in, self._sentence = False, sentence
                    self._on_trust = self._on_trust or on_trust
                    self._peer_to_ask = ""
                    if self.login_page is not None:
                        self.login_page.fail(sentence)
                case _:
                    self._take_reading(value)
        return changed

    def _take_reading(self, reading: Reading) -> None:
        page = self.main_page
        match reading:
            case HistoryPage():
                self.model.take_history(reading)
            case LastEntries(entries):
                self.model.take_last_entries(entries)
            case Said(sentence, alarm):
                self.model.take(Notice(sentence, alarm))
            case Picture(file_id, png) if page is not None:
                page.chat.log.take_picture(file_id, png)
            case Found(talk, words, entries) if page is not None:
                if talk:
                    page.chat.show_found(list(entries))
                else:
                    page.show_found(words, list(entries))

    def _take_events(self) -> bool:
        connection = self.connection
        if connection is None:
            return False
        for count in range(_EVENTS_A_TICK):
            try:
                event = connection.events.get_nowait()
            except queue.Empty:
                return count > 0
            self.model.take(event)
            if isinstance(event, PeerChanged) and event.established:
                self._come_into_sync(event.peer)
            elif isinstance(event, ErrandDone):
                self._errand_done(connection, event)
        return True

    def _errand_done(self, connection: ServerConnection, event: ErrandDone) -> None:
        if not event.deletion:
            done = event.accepted
            self._tell_password(password_changed(connection, self._home) if done else password_refused())
        elif event.accepted:
            self._end_with(_("The account is deleted."), forget_it=True)

    def _tell_password(self, told: PasswordTold) -> None:
        if isinstance(self.cover_page, AccountPage):
            self.cover_page.tell(told.sentence, good=told.good)
        else:
            self.model.take(Notice(told.sentence, alarm=not told.good))

    def _come_into_sync(self, peer: str) -> None:
        if peer != self.model.open_peer:
            self.model.notice = _("You and {peer} are in sync.").format(peer=peer)
        elif not isinstance(self.window.focus_get(), tk.Entry | tk.Text):
            self._back()  # whoever has just clicked on Accept wants to type next
        text = self._to_say.pop(peer, "")
        if text:
            self._send(peer, text)

    def _refresh(self) -> None:
        self._announce()
        if self.main_page is None:
            return
        self._warnings += [(sentence, True) for sentence in self.model.alarms]
        if self._peer_to_ask in self.model.people and self.model.connection is ConnectionState.ONLINE:
            peer, self._peer_to_ask = self._peer_to_ask, ""
            self.main_page.ask(peer)
        self.main_page.refresh()
        self._entitle()

    def _announce(self) -> None:
        """Tell the desktop of what came unseen, as far as the person wants that."""
        arrived = self.model.arrived[:]
        self.model.arrived.clear()
        preferences = self.shell.preferences
        news = announcement(arrived, preferences, locked=self.shell.locked)
        if news is not None:
            self.notifier(news)
        if arrived and preferences.sound:
            self.window.bell()

    def _entitle(self) -> None:
        inside = self.connection is not None
        self.window.title(title(self.model, locked=self.shell.locked, inside=inside))

    def _watch_end(self) -> None:
        """Once the connection is over for good, go where we were going, or back to the form."""
        if self.connection is None:
            return
        over = self.connection.join(0) and self.connection.events.empty()
        if self._at_once_since is not None:
            over = over or time.monotonic() - self._at_once_since > _AT_ONCE_SECONDS
        if not over:
            return
        self.connection, self._at_once_since = None, None
        then, self._then = self._then, None
        if then is not None:
            then()
        else:
            self.show_login(
                self.model.sentence or _("The connection ended unexpectedly. Please log in again.")
            )

    # -- leaving ------------------------------------------------------------------------------------

    def log_out(self) -> None:
        """Leave the server properly, then show the form again."""
        self._leave(lambda: self.show_login(_("You are logged out.")), _("Then you can log in again."))

    def wipe(self) -> None:
        """Leave the server properly, then delete all that is here of the account."""
        self._end_with(_("You are logged out, and nothing of the account is left here."), forget_it=True)

    def _end_with(self, sentence: str, *, forget_it: bool) -> None:
        connection = self.connection

        def then() -> None:
            if connection is not None and forget_it:
                forget(connection, self._home)
            self.show_login(sentence)

        self._leave(then, _("Then you can log in again."), coming_back=False)

    def close(self) -> None:
        """Close the window: properly at first, which takes seven rounds; at once if asked again."""
        if self.connection is None:
            self._destroy()
        elif self._then != self._destroy:
            self._leave(self._destroy, _("Then this window closes by itself."))
        else:
            self.window.withdraw()
            self._hurry()

    def _leave(self, then: Callable[[], None], what_then: str, *, coming_back: bool = True) -> None:
        if self.connection is None:
            return
        self._then, self._what_then = then, what_then
        self._show()
        self.connection.quit(coming_back=coming_back)

    def _hurry(self) -> None:
        """Leave without waiting for the conversations to end."""
        if self.connection is not None and self._at_once_since is None:
            self._at_once_since = time.monotonic()
            self.connection.quit(at_once=True, coming_back=True)

    def _destroy(self) -> None:
        self.is_open = False
        self.shell.remember_place()
        if self._next_poll:
            self.window.after_cancel(self._next_poll)
        self.window.destroy()
        self._closed()
