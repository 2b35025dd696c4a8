"""``ClientWindow``: one person's window, from logging in to leaving. Its thread is Tk's and never blocks.

Other threads only put values on queues; ``_poll`` takes some of them every few hundredths of a second.
"""

from __future__ import annotations

import gc
import queue
import threading
import time
import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass

from iirs.client.accounts import Home
from iirs.client.chat_model import ChatModel
from iirs.client.chat_session import TEXT_MAX
from iirs.client.engine import Engine
from iirs.client.events import ConnectionState, Notice, PeerChanged
from iirs.client.farewell import FarewellPage
from iirs.client.librarian import Found, LastEntries, Librarian, Picture, Reading, Said
from iirs.client.login_page import LoginPage
from iirs.client.login_work import Credentials, LoggedIn, NotLoggedIn, Remembered, log_in
from iirs.client.look import Look
from iirs.client.main_page import MainPage
from iirs.client.requests import Requests
from iirs.client.server_connection import ConnectionOptions, ServerConnection
from iirs.client.shapes import RoundedBox
from iirs.client.talk import History

_POLL_MS = 40
_EVENTS_A_TICK = 200
_AT_ONCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Start:
    """What a window begins with, if not with an empty form."""

    link: str = ""
    name: str = ""
    credentials: Credentials | None = None
    """Log in with these at once."""
    peer: str = ""
    """Ask for this person as soon as the server knows them."""
    say: str = ""
    """Send them this once the two are in sync."""
    options: ConnectionOptions | None = None


class ClientWindow:
    """Fills ``window`` (a ``Tk`` or a ``Toplevel``) and calls ``closed`` when it is over."""

    def __init__(
        self,
        window: tk.Tk | tk.Toplevel,
        look: Look,
        home: Home,
        start: Start,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self.window = window
        self.look = look
        self.login_page: LoginPage | None = None
        self.main_page: MainPage | None = None
        self.farewell: FarewellPage | None = None
        self.connection: ServerConnection | None = None
        self.librarian: Librarian | None = None
        self.model = ChatModel("")
        self.is_open = True
        self._home = home
        self._start = start
        self._closed = closed
        self._inbox: queue.SimpleQueue[LoggedIn | NotLoggedIn | Reading] = queue.SimpleQueue()
        self._peer_to_ask = start.peer
        self._to_say = {start.peer: start.say} if start.say else {}
        self._on_trust = False
        self._remembered = Remembered.read(home.folder)
        self._then: Callable[[], None] | None = None
        self._at_once_since: float | None = None
        self._next_poll = ""
        window.title("iirs")
        window.geometry(f"{look.dp(960)}x{look.dp(680)}")
        window.minsize(look.dp(640), look.dp(560))
        window.configure(background=look.colours.background)
        window.iconphoto(False, look.picture(RoundedBox(64, 64, 18, look.colours.accent)))
        window.protocol("WM_DELETE_WINDOW", self.close)
        self._bind_keys()
        self.show_login()
        if start.credentials is not None:
            self._log_in(start.credentials)
        self._poll()

    def _bind_keys(self) -> None:
        keys: dict[str, Callable[[], None]] = {
            "<Control-q>": self.close,
            "<Control-k>": self._find,
            "<Control-f>": self._find,
            "<Control-n>": lambda: self._open(""),
            "<Alt-Up>": lambda: self._step(-1),
            "<Alt-Down>": lambda: self._step(1),
            "<Escape>": self._back_to_entry,
        }
        for sequence, action in keys.items():
            self._bind(sequence, action)

    def _bind(self, sequence: str, action: Callable[[], None]) -> None:
        def act(_: tk.Event[tk.Misc]) -> str:
            action()
            return "break"

        self.window.bind(sequence, act)

    # -- logging in ---------------------------------------------------------------------------------

    def show_login(self, sentence: str = "") -> None:
        """Show the form, with a sentence about why we are here again."""
        self._clear()
        known = Remembered(
            self._start.link or self._remembered.link, self._start.name or self._remembered.name
        )
        page = LoginPage(self.window, self.look, known, self._log_in)
        page.pack(fill="both", expand=True)
        page.focus_first()
        if sentence:
            page.fail(sentence)
        self.login_page = page
        self.window.title("iirs")

    def _log_in(self, credentials: Credentials) -> None:
        if self.login_page is not None:
            self.login_page.wait()
        home, options, inbox = self._home, self._start.options, self._inbox

        def work() -> None:
            inbox.put(log_in(home, credentials, options))

        threading.Thread(target=work, name="iirs-login", daemon=True).start()

    def _enter(self, result: LoggedIn) -> None:
        connection = result.connection
        self.connection = connection
        chain = connection.account.chain
        self.model = ChatModel(connection.account.name, len(chain.hops), chain.slots)
        self._remembered = Remembered(result.link, connection.account.name)
        self._clear()
        self.librarian = Librarian(connection, self._inbox.put)
        requests = self._requests(connection, self.librarian)
        self.main_page = MainPage(self.window, self.look, self.model, requests)
        self.main_page.pack(fill="both", expand=True)
        for remark in result.remarks(on_trust=self._on_trust):
            self.main_page.warn(remark, alarm=False)
        self._on_trust = False
        connection.start()
        self.librarian.read_last_entries()

    def _requests(self, connection: ServerConnection, librarian: Librarian) -> Requests:
        def tell(function: Callable[[Engine], object]) -> None:
            connection.call(function)

        return Requests(
            ask=connection.ask,
            decline=lambda peer: tell(lambda engine: engine.desk.decline(peer)),
            hang_up=connection.hang_up,
            open=self._open,
            send=self._send,
            send_file=librarian.send_file,
            pause=lambda file_id: tell(lambda engine: engine.desk.pause(file_id)),
            cancel=lambda file_id: tell(lambda engine: engine.desk.cancel(file_id)),
            save=librarian.save,
            picture=librarian.read_picture,
            around=self._read_back_to,
            older=self._read_older,
            search=librarian.search,
            export=librarian.export,
            delete=lambda talk, item: tell(lambda engine: engine.desk.delete(talk, item)),
            clear=lambda talk: tell(lambda engine: engine.desk.clear(talk)),
            set_timer=lambda talk, seconds: tell(lambda engine: engine.desk.set_timer(talk, seconds)),
            create_group=lambda name, people: tell(lambda engine: engine.desk.create_group(name, people)),
            join_group=lambda key: tell(lambda engine: engine.desk.join_group(key)),
            leave_group=lambda key: tell(lambda engine: engine.desk.leave_group(key)),
            show_safety=self._show_safety,
            verify=lambda name, verified: tell(lambda engine: engine.desk.verify(name, verified)),
            accept_keys=lambda name: tell(lambda engine: engine.desk.accept_keys(name)),
            show_settings=lambda: None,
            lock=lambda: None,
            log_out=self.log_out,
        )

    # -- talking ------------------------------------------------------------------------------------

    def _show_safety(self, peer: str) -> None:
        if self.main_page is not None:
            self.main_page.show_safety(peer)

    def _send(self, peer: str, text: str) -> bool:
        if len(text.encode("utf-8", "replace")) > TEXT_MAX:
            self.model.notice = "This text is longer than 64 KiB. Send it in parts."
            self._refresh()
            return False
        if self.connection is not None:
            self.connection.send(peer, text)
        return True

    def _open(self, peer: str) -> None:
        if self.main_page is None or self.connection is None:
            return
        self.main_page.open(peer)
        self._entitle()
        if peer and not self.model.talk(peer).has_history and self.librarian is not None:
            self.librarian.read(peer)

    def _read_back_to(self, peer: str, item_id: bytes) -> None:
        first = next((row.text_id for row in self.model.talk(peer).rows if row.text_id), b"")
        if self.librarian is not None:
            self.librarian.read_back_to(peer, first, item_id)

    def _read_older(self, peer: str) -> None:
        talk = self.model.talk(peer)
        first = next((row.text_id for row in talk.rows if row.text_id), b"")
        if first and talk.has_more and self.librarian is not None:
            self.librarian.read(peer, first)

    def _step(self, step: int) -> None:
        names = [name for name in self.model.order() if name in self.model.talks]
        if names:
            here = names.index(self.model.open_peer) if self.model.open_peer in names else -step
            self._open(names[(here + step) % len(names)])

    def _find(self) -> None:
        if self.main_page is not None:
            self.main_page.search.focus_set()

    def _back_to_entry(self) -> None:
        if self.main_page is not None:
            talking = bool(self.model.open_peer)
            (self.main_page.chat.entry if talking else self.main_page.welcome.entry).focus_set()

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
                case NotLoggedIn(sentence, on_trust):
                    self._on_trust = self._on_trust or on_trust
                    self._peer_to_ask = ""
                    if self.login_page is not None:
                        self.login_page.fail(sentence)
                case History():
                    self.model.take_history(value)
                case LastEntries(entries):
                    self.model.take_last_entries(entries)
                case Picture(file_id, png) if self.main_page is not None:
                    self.main_page.chat.log.take_picture(file_id, png)
                case Found(talk, words, entries) if self.main_page is not None:
                    if talk:
                        self.main_page.chat.show_found(list(entries))
                    else:
                        self.main_page.show_found(words, list(entries))
                case Said(sentence, alarm):
                    self.model.take(Notice(sentence, alarm))
        return changed

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
        return True

    def _come_into_sync(self, peer: str) -> None:
        if peer != self.model.open_peer:
            self.model.notice = f"You and {peer} are in sync."
        elif not isinstance(self.window.focus_get(), tk.Entry | tk.Text):
            self._back_to_entry()  # whoever has just clicked on Accept wants to type next
        text = self._to_say.pop(peer, "")
        if text:
            self._send(peer, text)

    def _refresh(self) -> None:
        if self.main_page is None:
            return
        if self._peer_to_ask in self.model.people and self.model.connection is ConnectionState.ONLINE:
            peer, self._peer_to_ask = self._peer_to_ask, ""
            self.main_page.ask(peer)
        self.main_page.refresh()
        self._entitle()

    def _entitle(self) -> None:
        unread = f"({min(self.model.unread, 99)}) " if self.model.unread else ""
        self.window.title(f"{unread}{self.model.me} · iirs")

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
            self.show_login(self.model.sentence or "The connection ended unexpectedly. Please log in again.")

    # -- leaving ------------------------------------------------------------------------------------

    def log_out(self) -> None:
        """Leave the server properly, then show the form again."""
        self._leave(lambda: self.show_login("You are logged out."), "Then you can log in again.")

    def close(self) -> None:
        """Close the window: properly at first, which takes seven rounds; at once if asked again."""
        if self.connection is None:
            self._destroy()
        elif self._then != self._destroy:
            self._leave(self._destroy, "Then this window closes by itself.")
        else:
            self.window.withdraw()
            self._hurry()

    def _leave(self, then: Callable[[], None], what_then: str) -> None:
        if self.connection is None:
            return
        self._then = then
        self._clear()
        self.farewell = FarewellPage(self.window, self.look, what_then, self._hurry)
        self.farewell.pack(fill="both", expand=True)
        self.connection.quit(coming_back=True)

    def _hurry(self) -> None:
        """Leave without waiting for the conversations to end."""
        if self.connection is not None and self._at_once_since is None:
            self._at_once_since = time.monotonic()
            self.connection.quit(at_once=True, coming_back=True)

    def _destroy(self) -> None:
        self.is_open = False
        if self._next_poll:
            self.window.after_cancel(self._next_poll)
        self.window.destroy()
        self._closed()

    def _clear(self) -> None:
        for page in (self.login_page, self.main_page, self.farewell):
            if page is not None:
                page.destroy()
        self.login_page = self.main_page = self.farewell = None
        # Tk's variables and pictures must end in Tk's thread; the collector may run in any other.
        self.window.after_idle(gc.collect)
