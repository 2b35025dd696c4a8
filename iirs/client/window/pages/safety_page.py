"""``SafetyPage``: the safety number of two people, to be compared in person."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from iirs.client.messenger.safety_number import grouped, matches
from iirs.client.model.actions import Actions
from iirs.client.model.talk import Talk
from iirs.client.pictures.qr import qr_png
from iirs.client.text.translate import N_, _
from iirs.client.window.parts.flow import Flow, wrapping
from iirs.client.window.parts.scroll_page import ScrollPage
from iirs.client.window.theme.avatars import number_of
from iirs.client.window.theme.theme import Theme

_ADVICE = N_(
    "Compare all twelve blocks of digits with {peer}: side by side, or in a call where "
    "you know the voice. If they are the same, nobody is in between."
)
_DIFFER = N_(
    "They differ. Somebody may be in between, or one of you has another account. Send nothing that matters, "
    "tell whoever runs the server, and meet in person."
)


class SafetyPage(ScrollPage):
    """Shows a person's number; ``close`` goes back to where one came from."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        me: str,
        talk: Talk,
        actions: Actions,
        close: Callable[[], None],
    ) -> None:
        super().__init__(parent, theme, 500)
        self._talk = talk
        self._actions = actions
        self._close = close
        card = self.body
        title = _("Safety number of {me} and {peer}").format(me=me, peer=talk.peer)
        wrapping(ttk.Label(card, text=title, style="Heading.TLabel")).pack(fill="x")
        self.muted(_(_ADVICE).format(peer=talk.peer), above=8)
        self._make_number(card)
        self._make_compare(card)
        self._make_answers(card)
        self.refresh()
        self.pasted.focus_set()

    def _make_number(self, card: ttk.Frame) -> None:
        dp, theme, talk = self._theme.dp, self._theme, self._talk
        row = Flow(card, dp(20))
        row.pack(fill="x", pady=dp(6))
        data = qr_png(talk.number, dp(4))
        self._qr = tk.PhotoImage(master=self, data=data, format="png")
        code = ttk.Label(row, image=self._qr)
        right = ttk.Frame(row)
        row.show(code, right)
        face = tk.Canvas(
            right, width=dp(64), height=dp(64), background=theme.colours.background, highlightthickness=0
        )
        face.pack(anchor="w", pady=(0, dp(10)))
        theme.draw_avatar(face, number_of(talk), talk.title, (dp(32), dp(32)), 64)
        groups = grouped(talk.number)
        self.digits = "\n".join("  ".join(groups[start : start + 3]) for start in range(0, len(groups), 3))
        ttk.Label(right, text=self.digits, font=theme.heading).pack(anchor="w")

    def _make_compare(self, card: ttk.Frame) -> None:
        dp = self._theme.dp
        self.muted(_("Or paste the number that {peer} sees:").format(peer=self._talk.peer), above=8)
        self._typed = tk.StringVar(self)
        self._typed.trace_add("write", lambda *_: self._compare())
        self.pasted = self.first = ttk.Entry(card, textvariable=self._typed, font=self._theme.text)
        self.pasted.pack(fill="x")
        self.verdict = wrapping(ttk.Label(card, font=self._theme.small_bold))
        self.verdict.pack(fill="x", pady=dp(6))

    def _make_answers(self, card: ttk.Frame) -> None:
        dp = self._theme.dp
        row = self._answers = Flow(card, dp(8))
        row.pack(fill="x", pady=(dp(6), 0))
        self.same_button = ttk.Button(row, style="Accent.TButton", command=self._mark)
        self.differ_button = ttk.Button(
            row, text=_("They differ"), style="Danger.TButton", command=self._say_differ
        )
        self.accept_button = ttk.Button(
            row,
            text=_("Go on all the same"),
            style="Danger.TButton",
            command=lambda: self._actions.accept_keys(self._talk.peer),
        )
        self.close_button = ttk.Button(row, text=_("Back"), command=self._close)

    def refresh(self) -> None:
        """Take in what has changed."""
        verified = self._talk.verified
        self.same_button.configure(
            text=_("Mark as not verified") if verified else _("They are the same: mark as verified")
        )
        accept = (self.accept_button,) if self._talk.blocked else ()
        self._answers.show(self.same_button, self.differ_button, *accept, self.close_button)

    def _mark(self) -> None:
        self._actions.verify(self._talk.peer, not self._talk.verified)

    def _compare(self) -> None:
        text = self._typed.get()
        if not text.strip():
            self.verdict.configure(text="")
        elif matches(self._talk.number, text):
            self.verdict.configure(text=_("The same."), foreground=self._theme.colours.good)
        else:
            self._say_differ()

    def _say_differ(self) -> None:
        self.verdict.configure(text=_(_DIFFER), foreground=self._theme.colours.bad)
