"""``LoginForm``: what stands in the form of a window where nobody is logged in, and a login under way."""

from __future__ import annotations

import threading
import tkinter as tk
from collections.abc import Callable

from iirs.client.account.entry_calls import Home
from iirs.client.account_tasks import Credentials, LoggedIn, NotLoggedIn, Remembered, log_in
from iirs.client.window.pages.login_page import LoginPage, Written
from iirs.client.window.start import Start
from iirs.client.window.theme.theme import Theme


class LoginForm:
    """Outlives its page, which is made anew with every change of colours, size or language.

    Logging in is done by a worker, which hands ``tell`` what came of it.
    """

    def __init__(self, home: Home, start: Start, tell: Callable[[LoggedIn | NotLoggedIn], None]) -> None:
        self._home = home
        self._start = start
        self._tell = tell
        self._page: LoginPage | None = None
        self._sentence = ""
        self._is_waiting = False
        self._on_trust = False
        self._written: Written | None = None

    def make(
        self,
        window: tk.Tk | tk.Toplevel,
        theme: Theme,
        last: Remembered,
        show_settings: Callable[[], None],
    ) -> LoginPage:
        """Return the page; ``last`` has the server and name of the last time."""
        written = self._written or self._begun(last)
        page = self._page = LoginPage(window, theme, written, self.log_in, show_settings)
        page.focus_first()
        if self._is_waiting:
            page.wait()
        elif self._sentence:
            page.fail(self._sentence)
        return page

    def _begun(self, last: Remembered) -> Written:
        start = self._start.after(last)
        new = start.new if start.new is not None else not start.name
        return Written(start.link, start.name, new, start.keys_stay_here)

    def put_away(self) -> None:
        """Keep what is written, but the password, before the page is destroyed."""
        if self._page is not None:
            self._written, self._page = self._page.written, None

    def begin_anew(self, sentence: str) -> None:
        """Say why the form is here again; nobody is logging in."""
        self._sentence, self._is_waiting, self._written = sentence, False, None

    def log_in(self, credentials: Credentials) -> None:
        """Log in, and show that it is under way."""
        self._is_waiting = True
        if self._page is not None:
            self._page.wait()
        home, options, tell = self._home, self._start.options, self._tell

        def work() -> None:
            tell(log_in(home, credentials, options))

        threading.Thread(target=work, name="iirs-login", daemon=True).start()

    def refuse(self, result: NotLoggedIn) -> None:
        """Say why it did not work."""
        self._sentence, self._is_waiting = result.sentence, False
        self._on_trust = self._on_trust or result.on_trust
        if self._page is not None:
            self._page.fail(result.sentence)

    def accept(self, result: LoggedIn) -> list[str]:
        """Take note that it worked; return what the person should be told."""
        self.begin_anew("")
        on_trust, self._on_trust = self._on_trust, False
        return result.remarks(on_trust=on_trust)
