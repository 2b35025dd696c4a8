"""``SettingsPage``: everything a person can set, on one page that takes effect at once."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from tkinter import ttk
from typing import Any

from iirs.chain import Chain, JoinLink
from iirs.client.messenger.safety_number import grouped
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.privacy_sentences import explained
from iirs.client.pictures.qr import qr_png
from iirs.client.store.preferences import LOCK_MINUTES, ZOOMS, ColourScheme, Notify, Preferences
from iirs.client.text.translate import N_, _, languages
from iirs.client.window.parts.flow import Columns, Flow, wrapping
from iirs.client.window.parts.scroll_page import ScrollPage
from iirs.client.window.theme.focus import focus_of
from iirs.client.window.theme.theme import Theme

_THEMES = (
    (ColourScheme.SYSTEM, N_("Same as system")),
    (ColourScheme.LIGHT, N_("Light")),
    (ColourScheme.DARK, N_("Dark")),
)
_NOTIFY = (
    (Notify.OFF, N_("Off")),
    (Notify.WITHOUT_TEXT, N_("Without text")),
    (Notify.WITH_TEXT, N_("With text")),
)
_NOTIFY_ABOUT = N_("With text, this machine's desktop gets to see who writes and what.")
_NAMES = {"en": "English", "de": "Deutsch"}
"""Languages under their own names."""
_LOCK_ABOUT = N_(
    "A locked window shows nothing and goes on working. Lock it after so many minutes "
    "without keyboard and mouse:"
)
_INVITE_ABOUT = N_("Whoever has this join link can register on this server. It says nothing about you.")
_NUMBER_ABOUT = N_("This number stands for your keys. It is the same on every machine you log in on.")
_OUT_ABOUT = N_("Your messages stay on this machine, encrypted, until you log in again.")


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the page shows of whoever is logged in."""

    name: str
    link: str
    number: str
    """A safety number of their own; "" if it is not known yet."""
    servers: int

    @classmethod
    def of(cls, model: ChatModel, chain: Chain, link: str) -> AccountFacts:
        """Return the facts of whoever uses ``model``; their link gets the chain's fingerprint."""
        plain = JoinLink.parse(link)
        whole = str(JoinLink(plain.host, plain.port, chain.chain_id))
        return cls(model.me, whole, model.numbers.get(model.me, ""), model.servers)


@dataclass(frozen=True, slots=True)
class SettingsActions:
    """What the page asks for."""

    change: Callable[[str, Any], None]
    """Set the preference of this name; the page may be made anew meanwhile."""
    close: Callable[[], None]
    lock: Callable[[], None]
    sign_out: Callable[[], None]
    show_shortcuts: Callable[[], None]
    show_account: Callable[[], None]


@dataclass(frozen=True, slots=True)
class SettingsPosition:
    """Where the person is on the page, so that one made anew is at the same place."""

    scrolled: float = 0.0
    focus: str = ""


class SettingsPage(ScrollPage):
    """``controls`` has the buttons, by the preference and value they set, or by what they do."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        preferences: Preferences,
        actions: SettingsActions,
        account: AccountFacts | None = None,
    ) -> None:
        super().__init__(parent, theme, 560)
        self.controls: dict[str, ttk.Widget] = {}
        self._preferences = preferences
        self._actions = actions
        dp = theme.dp
        self.controls["close"] = self.heading(_("Settings"), _("Done"), actions.close)
        self._make_appearance()
        self._make_notifications()
        if account is not None:
            self._make_lock()
            self._make_account(account)
        servers = 1 if account is None else account.servers
        self.section(_("What is hidden, and what is not"), explained(servers).replace("\n", "\n\n"))
        self._button(self.body, "keys", _("Show all keyboard shortcuts"), actions.show_shortcuts).pack(
            anchor="w", pady=dp(10)
        )

    @property
    def position(self) -> SettingsPosition:
        """Where the person is now."""
        focus = focus_of(self)
        here = next((name for name, widget in self.controls.items() if widget is focus), "")
        return SettingsPosition(self.canvas.yview()[0], here)

    def take_position(self, position: SettingsPosition) -> None:
        """Go to where the person was on the page before this one."""
        self.update_idletasks()
        self.canvas.yview_moveto(position.scrolled)
        self.controls.get(position.focus, self.controls["close"]).focus_set()

    # -- sections -----------------------------------------------------------------------------------

    def _make_appearance(self) -> None:
        self.section(_("Appearance"))
        self._choice("theme", _("Colours"), [(value, _(text)) for value, text in _THEMES])
        self._choice("zoom", _("Text size"), [(zoom, f"{zoom:.0%}") for zoom in ZOOMS])
        codes = [("", _("Same as system")), *((code, _NAMES.get(code, code)) for code in languages())]
        self._choice("language", _("Language"), codes)

    def _make_notifications(self) -> None:
        self.section(_("Notifications"))
        self._choice("notifications", _("When a new message arrives"), [(v, _(t)) for v, t in _NOTIFY])
        self.muted(_(_NOTIFY_ABOUT))
        sound = self.kept(tk.BooleanVar(self, self._preferences.sound))
        check = ttk.Checkbutton(
            self.body,
            text=_("Play a sound"),
            variable=sound,
            command=lambda: self._actions.change("sound", sound.get()),
        )
        check.pack(anchor="w", pady=(self._theme.dp(8), 0))
        self.controls["sound"] = check

    def _make_lock(self) -> None:
        self.section(_("Lock"))
        texts = [(minutes, str(minutes) if minutes else _("Never")) for minutes in LOCK_MINUTES]
        self._choice("lock_minutes", _(_LOCK_ABOUT), texts)
        lock = self._button(self.body, "lock", _("Lock the window"), self._actions.lock)
        lock.pack(anchor="w", pady=(self._theme.dp(8), 0))

    def _make_account(self, account: AccountFacts) -> None:
        dp = self._theme.dp
        self.section(_("Invite people"), _(_INVITE_ABOUT))
        self._copyable("link", account.link)
        self._qr = tk.PhotoImage(master=self, data=qr_png(account.link, dp(3)), format="png")
        ttk.Label(self.body, image=self._qr).pack(anchor="w", pady=(dp(8), 0))
        if account.number:
            self.section(_("Your safety number"), _(_NUMBER_ABOUT))
            groups = grouped(account.number)
            half = len(groups) // 2
            self._copyable("number", "\n".join((" ".join(groups[:half]), " ".join(groups[half:]))))
        who = _("You are logged in as {name}.").format(name=account.name)
        self.section(_("Account"), f"{who} {_(_OUT_ABOUT)}")
        row = Flow(self.body, dp(8))
        row.pack(fill="x", pady=(dp(8), 0))
        out = self._button(row, "sign_out", _("Log out"), self._actions.sign_out, "Danger.TButton")
        words = _("Change the password, or delete the account …")
        row.show(out, self._button(row, "account", words, self._actions.show_account))

    # -- pieces -------------------------------------------------------------------------------------

    def _choice(self, name: str, title: str, values: list[tuple[Any, str]]) -> None:
        dp = self._theme.dp
        self.muted(title, above=6)
        row = Columns(self.body, dp(4))
        row.pack(fill="x")
        chosen = self.kept(tk.StringVar(self, str(getattr(self._preferences, name))))
        buttons = []
        for value, text in values:
            button = ttk.Radiobutton(
                row,
                text=text,
                value=str(value),
                variable=chosen,
                style="Segment.Toolbutton",
                command=partial(self._actions.change, name, value),
            )
            buttons.append(button)
            self.controls[f"{name} {value}"] = button
        row.show(*buttons)

    def _copyable(self, name: str, text: str) -> None:
        dp = self._theme.dp
        row = Flow(self.body, dp(12))
        row.pack(fill="x", pady=(dp(6), 0))
        label = wrapping(ttk.Label(row, text=text, font=self._theme.text))
        button = self._button(row, f"copy {name}", _("Copy"), lambda: self._copy(button, text))
        row.show(label, button, growing=label, least=dp(180))

    def _copy(self, button: ttk.Button, text: str) -> None:
        self.clipboard_clear()
        self.clipboard_append(text)
        button.configure(text=_("Copied"))

    def _button(
        self, parent: tk.Misc, name: str, text: str, command: Callable[[], None], style: str = "TButton"
    ) -> ttk.Button:
        button = ttk.Button(parent, text=text, style=style, command=command)
        self.controls[name] = button
        return button
