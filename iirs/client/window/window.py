"""``ClientWindow``: one person's window, from logging in to leaving. Its thread is Tk's and never blocks.

Other threads only put values on queues; ``_poll`` takes some of them every few hundredths of a second.
"""

from __future__ import annotations

import queue
import tkinter as tk
from collections.abc import Callable
from functools import partial
from tkinter import ttk

from iirs.client.account.entry_calls import Home
from iirs.client.account_tasks import LoggedIn, NotLoggedIn, PasswordTold, Remembered
from iirs.client.events import ConnectionState, ErrandDone, Notice, PeerChanged
from iirs.client.model.actions import actions_for
from iirs.client.model.background import Found, KeptDrafts, NotSent, Reading
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.picture_queue import Picture
from iirs.client.text.translate import _
from iirs.client.window.alerts import Alerts
from iirs.client.window.login_form import LoginForm
from iirs.client.window.main_page import MainPage
from iirs.client.window.navigation import Navigator, Page
from iirs.client.window.pages.account_page import AccountActions, AccountPage
from iirs.client.window.pages.leaving_page import LeavingPage
from iirs.client.window.pages.lock_page import LockPage
from iirs.client.window.pages.login_page import LoginPage
from iirs.client.window.pages.settings_page import AccountFacts, SettingsActions, SettingsPage
from iirs.client.window.pages.shortcuts_page import ShortcutsPage, bind_shortcuts
from iirs.client.window.session import Leaving, Left, Session
from iirs.client.window.start import Start
from iirs.client.window.theme.menus import give_fields_a_menu
from iirs.client.window.theme.shapes import RoundedBox
from iirs.client.window.theme.theme import Theme
from iirs.client.window.window_state import DesktopScheme, UnlockTried, WindowState, has_focus

_POLL_MS = 40

Told = LoggedIn | NotLoggedIn | Reading | DesktopScheme | UnlockTried | PasswordTold


class ClientWindow:
    """Fills ``window`` (a ``Tk`` or a ``Toplevel``) and calls ``closed`` when it is over."""

    def __init__(
        self,
        window: tk.Tk | tk.Toplevel,
        theme: Theme,
        home: Home,
        start: Start,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self.window = window
        self.theme = theme
        self.model = ChatModel("")
        self.session: Session | None = None
        self.is_open = True
        self._home = home
        self._closed = closed
        self._inbox: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._warnings: list[tuple[str, bool]] = []
        self._peer_to_ask = start.peer
        self._to_say = {start.peer: start.say} if start.say else {}
        self._left: Left | None = None
        self._next_poll = ""
        self.state = WindowState(window, theme, home, self._inbox.put, lambda: self.navigator.show())  # noqa: PLW0108  # there is none yet
        self.alerts = Alerts(window, self.state)
        self.form = LoginForm(home, start, self._inbox.put)
        self.navigator = Navigator(window, self.state, self._makers(), self._put_away)
        window.title("iirs")
        window.configure(background=theme.colours.background)
        window.iconphoto(False, theme.picture(RoundedBox(64, 64, 18, theme.colours.accent)))
        window.protocol("WM_DELETE_WINDOW", self.close)
        for sequence in ("<FocusIn>", "<FocusOut>"):
            window.bind(sequence, lambda _: window.after_idle(self._take_focus), add=True)
        bind_shortcuts(window, self._shortcuts())
        give_fields_a_menu(window, theme)
        self.show_login()
        credentials = start.after(self._last).credentials
        if credentials is not None:
            self.form.log_in(credentials)
        self._poll()

    @property
    def login_page(self) -> LoginPage | None:
        """The form, while it is shown."""
        return self.navigator.shows(LoginPage)

    @property
    def main_page(self) -> MainPage | None:
        """The talks, while they are shown."""
        return self.navigator.shows(MainPage)

    def _shortcuts(self) -> dict[str, Callable[[], None]]:
        return {
            "find_people": lambda: self._on_main_page(MainPage.find_people),
            "find_text": lambda: self._on_main_page(MainPage.find_text),
            "new_talk": lambda: self._on_main_page(lambda page: page.open("")),
            "new_group": lambda: self._on_main_page(MainPage.new_group),
            "previous": lambda: self._on_main_page(lambda page: page.step(-1)),
            "next": lambda: self._on_main_page(lambda page: page.step(1)),
            "back": self.uncover,
            "settings": lambda: self.navigator.open(Page.SETTINGS),
            "larger": lambda: self.state.zoom(1),
            "smaller": lambda: self.state.zoom(-1),
            "usual": lambda: self.state.zoom(0),
            "lock": self.lock,
            "help": lambda: self.navigator.open(Page.SHORTCUTS),
            "quit": self.close,
        }

    def _on_main_page(self, act: Callable[[MainPage], None]) -> None:
        self.navigator.close(everything=True)
        if self.main_page is not None:
            act(self.main_page)

    # -- pages --------------------------------------------------------------------------------------

    def _makers(self) -> dict[Page, Callable[[], ttk.Frame]]:
        return {
            Page.LOGIN: self._make_login_page,
            Page.MAIN: self._make_main_page,
            Page.SETTINGS: self._make_settings_page,
            Page.ACCOUNT: self._make_account_page,
            Page.SHORTCUTS: lambda: ShortcutsPage(self.window, self.theme, self.uncover),
            Page.LOCK: lambda: LockPage(self.window, self.theme, self._unlock, self.state.failures),
            Page.LEAVING: self._make_leaving_page,
        }

    def _put_away(self) -> None:
        """Keep what was written in the form or to a peer."""
        self.form.put_away()
        if self.main_page is not None:
            self.main_page.chat.keep_draft()

    def _make_login_page(self) -> LoginPage:
        show_settings = partial(self.navigator.open, Page.SETTINGS)
        return self.form.make(self.window, self.theme, self._last, show_settings)

    @property
    def _last(self) -> Remembered:
        return Remembered(self.state.preferences.link, self.state.preferences.name)

    def _make_main_page(self) -> MainPage:
        session = self._inside()
        show_settings = partial(self.navigator.open, Page.SETTINGS)
        actions = actions_for(session.connection, session.background, show_settings, self.log_out)
        page = MainPage(self.window, self.theme, self.model, actions)
        for sentence, alarm in self._warnings:
            page.warn(sentence, alarm=alarm)
        return page

    def _make_settings_page(self) -> SettingsPage:
        actions = SettingsActions(
            change=self.state.change,
            close=self.uncover,
            lock=self.lock,
            sign_out=self.log_out,
            show_shortcuts=partial(self.navigator.open, Page.SHORTCUTS),
            show_account=partial(self.navigator.open, Page.ACCOUNT),
        )
        preferences = self.state.preferences
        account = None
        if self.session is not None:
            account = AccountFacts.of(self.model, self.session.connection.account.chain, preferences.link)
        return SettingsPage(self.window, self.theme, preferences, actions, account)

    def _make_account_page(self) -> AccountPage:
        session = self._inside()
        delete = session.connection.delete_account
        actions = AccountActions(session.change_password, self.wipe, delete, self.uncover)
        return AccountPage(self.window, self.theme, self.model.me, actions)

    def _make_leaving_page(self) -> LeavingPage:
        session = self._inside()
        what_then = "" if session.leaving is None else session.leaving.what_then
        return LeavingPage(self.window, self.theme, what_then, session.hurry)

    def _inside(self) -> Session:
        assert self.session is not None  # noqa: S101  # some pages are shown only while somebody is logged in
        return self.session

    def uncover(self) -> None:
        """Go back: from settings, account or shortcuts to what is under them; in a talk, to writing."""
        self.navigator.close()
        if self.main_page is not None:
            self.main_page.back()

    # -- logging in ---------------------------------------------------------------------------------

    def show_login(self, sentence: str = "") -> None:
        """Show the form, with a sentence about why we are here again."""
        self.form.begin_anew(sentence)
        self.state.locked = False
        self._warnings.clear()
        self.navigator.go_to(Page.LOGIN)

    def _enter(self, result: LoggedIn) -> None:
        session = self.session = Session(result, self._home, self._inbox.put)
        self.model = session.model
        self.state.remember(result.link, self.model.me)
        self._warnings = [(remark, False) for remark in self.form.accept(result)]
        self.navigator.go_to(Page.MAIN)
        session.take_over(self._left)
        self._left = None
        session.begin()

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
            if self.session is not None and self.session.is_time_to_keep:
                self._keep_drafts(self.session)
            self._watch_end()
            if self.state.is_time_to_lock:
                self.lock()
            if self.is_open:
                self.alerts.entitle(self.model, inside=self.session is not None)
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
                case NotLoggedIn():
                    self.form.refuse(value)
                    self._peer_to_ask = ""
                case DesktopScheme():
                    self.state.take_scheme(value)
                case UnlockTried():
                    self._take_unlock(value)
                case PasswordTold():
                    self._tell_password(value)
                case _:
                    self._take_reading(value)
        return changed

    def _take_reading(self, reading: Reading) -> None:
        self.model.take_reading(reading)
        match reading, self.main_page:
            case NotSent(talk, text), MainPage(chat=chat):
                chat.take_back(talk, text)
            case NotSent(talk, text), _:
                self.model.talk(talk).take_back(text)
            case ((Picture() | Found() | KeptDrafts()), MainPage() as page):
                page.take(reading)

    def _take_events(self) -> bool:
        changed = False
        if self.session is not None:
            for event in self.session.take_events():
                changed = True
                if isinstance(event, PeerChanged) and event.established:
                    self._come_into_sync(self.session, event.peer)
                elif isinstance(event, ErrandDone):
                    self._errand_done(self.session, event)
        return changed

    def _errand_done(self, session: Session, event: ErrandDone) -> None:
        if not event.deletion:
            self._tell_password(session.password_settled(accepted=event.accepted))
        elif event.accepted:
            self._forget_and_leave(_("The account is deleted."))

    def _tell_password(self, told: PasswordTold) -> None:
        page = self.navigator.shows(AccountPage)
        if page is not None:
            page.tell(told.sentence, good=told.good)
        else:
            self.model.take(Notice(told.sentence, alarm=not told.good))

    def _come_into_sync(self, session: Session, peer: str) -> None:
        if peer != self.model.open_peer:
            self.model.notice = _("You and {peer} are connected.").format(peer=peer)
        text = self._to_say.pop(peer, "")
        if text:
            session.background.send(peer, text)

    # -- what is shown ------------------------------------------------------------------------------

    def _refresh(self) -> None:
        self.alerts.tell(self.model)
        if self.main_page is None:
            return
        self._warnings += [(sentence, True) for sentence in self.model.alarms]
        if self._peer_to_ask in self.model.people and self.model.connection is ConnectionState.ONLINE:
            peer, self._peer_to_ask = self._peer_to_ask, ""
            self.main_page.ask(peer)
        self.main_page.refresh()

    def _take_focus(self) -> None:
        """What comes while the window has the keyboard counts as looked at, unless it is covered."""
        if not self.is_open:
            return
        model = self.model
        model.focused = self.main_page is not None and has_focus(self.window)
        if model.focused and model.open_peer and model.talk(model.open_peer).unread:
            model.open(model.open_peer)
            self._refresh()

    # -- the lock -----------------------------------------------------------------------------------

    def lock(self) -> None:
        """Show nothing until the password is entered; the connection goes on exactly as before."""
        if self.navigator.lock():
            self.alerts.conceal()
            self.alerts.entitle(self.model, inside=True)

    def _unlock(self, password: str) -> None:
        if self.session is not None:
            self.state.try_password(self.session.connection.account, password)

    def _take_unlock(self, tried: UnlockTried) -> None:
        page = self.navigator.shows(LockPage)
        if not self.state.locked:
            return
        if self.state.take_unlock(tried):
            self.navigator.show()
            self._take_focus()
            if self.main_page is not None:
                self.main_page.focus_writing()
        elif page is not None:
            page.refuse(self.state.failures)

    # -- leaving ------------------------------------------------------------------------------------

    def log_out(self) -> None:
        """Leave the server properly, then show the form again."""
        self._leave(lambda: self.show_login(_("You are logged out.")), _("Then you can log in again."))

    def wipe(self) -> None:
        """Leave the server properly, then delete all that is here of the account."""
        self._forget_and_leave(_("You are logged out, and nothing of the account is left here."))

    def _forget_and_leave(self, sentence: str) -> None:
        session = self.session

        def then() -> None:
            if session is not None:
                session.forget()
            self._left = None
            self.show_login(sentence)

        self._leave(then, _("Then you can log in again."), coming_back=False)

    def close(self) -> None:
        """Close the window: properly at first, which takes a few rounds; at once if asked again."""
        session = self.session
        if session is None:
            self._destroy()
        elif session.leaving is None or session.leaving.then != self._destroy:
            self._leave(self._destroy, _("Then this window closes by itself."))
        else:
            self.window.withdraw()
            session.hurry()

    def _leave(self, then: Callable[[], None], what_then: str, *, coming_back: bool = True) -> None:
        if self.session is not None:
            self._keep_drafts(self.session)
            self.session.leave(Leaving(then, what_then), coming_back=coming_back)
            if self.model.connection is not ConnectionState.CLOSED:
                self.navigator.go_to(Page.LEAVING)

    def _keep_drafts(self, session: Session) -> None:
        if self.main_page is not None:
            self.main_page.chat.keep_draft()
        session.keep_drafts()

    def _watch_end(self) -> None:
        """Once the connection is over, go where we were going. If it ended by itself we stay, and say why."""
        session = self.session
        if session is not None and session.leaving is not None and session.is_over:
            self.session, self._left = None, session.left
            session.end()
            session.leaving.then()

    def _destroy(self) -> None:
        self.is_open = False
        self.state.remember_place()
        if self._next_poll:
            self.window.after_cancel(self._next_poll)
        self.window.destroy()
        self._closed()
