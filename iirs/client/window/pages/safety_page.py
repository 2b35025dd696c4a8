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
from iirs.client.window.theme.avatars import number_of
from iirs.client.window.theme.theme import Theme

_ADVICE = N_(
    "Compare all twelve groups with {peer}: side by side, or on a line where you know the voice. If they are "
    "the same, nobody is in between."
)
_DIFFER = N_(
    "They differ. Somebody may be in between, or one of you has another account. Send nothing that matters, "
    "tell whoever runs the server, and meet in person."
)


class SafetyPage(ttk.Frame):
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
        super().__init__(parent)
        self._theme = theme
        self._talk = talk
        self._actions = actions
        self._close = close
        dp = theme.dp
        card = ttk.Frame(self, padding=dp(20))
        card.place(relx=0.5, rely=0.5, anchor="center")
        ttk.Label(
            card,
            text=_("Safety number of {me} and {peer}").format(me=me, peer=talk.peer),
            style="Heading.TLabel",
        ).pack(anchor="w")
        advice = _(_ADVICE).format(peer=talk.peer)
        ttk.Label(card, text=advice, style="Muted.TLabel", wraplength=dp(480)).pack(anchor="w", pady=dp(8))
        self._make_number(card)
        self._make_compare(card)
        self._make_answers(card)
        self.bind("<Escape>", lambda _: close())
        self.refresh()
        self.pasted.focus_set()

    def _make_number(self, card: ttk.Frame) -> None:
        dp, theme, talk = self._theme.dp, self._theme, self._talk
        row = ttk.Frame(card)
        row.pack(fill="x", pady=dp(6))
        data = qr_png(talk.number, dp(4))
        self._qr = tk.PhotoImage(master=self, data=data, format="png")
        ttk.Label(row, image=self._qr).pack(side="left")
        right = ttk.Frame(row, padding=(dp(20), 0, 0, 0))
        right.pack(side="left", fill="both", expand=True)
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
        ttk.Label(
            card, text=_("Or paste what {peer} has here:").format(peer=self._talk.peer), style="Muted.TLabel"
        ).pack(anchor="w", pady=(dp(8), dp(3)))
        self._typed = tk.StringVar(self)
        self._typed.trace_add("write", lambda *_: self._compare())
        self.pasted = ttk.Entry(card, textvariable=self._typed, font=self._theme.text)
        self.pasted.pack(fill="x")
        self.verdict = ttk.Label(card, wraplength=dp(480), font=self._theme.small_bold)
        self.verdict.pack(anchor="w", pady=dp(6))

    def _make_answers(self, card: ttk.Frame) -> None:
        dp = self._theme.dp
        row = ttk.Frame(card)
        row.pack(fill="x", pady=(dp(6), 0))
        self.same_button = ttk.Button(row, style="Accent.TButton", command=self._mark)
        self.same_button.pack(side="left")
        self.differ_button = ttk.Button(
            row, text=_("They differ"), style="Danger.TButton", command=self._say_differ
        )
        self.differ_button.pack(side="left", padx=dp(8))
        self.accept_button = ttk.Button(
            row,
            text=_("Go on all the same"),
            style="Danger.TButton",
            command=lambda: self._actions.accept_keys(self._talk.peer),
        )
        self.close_button = ttk.Button(row, text=_("Back"), command=self._close)
        self.close_button.pack(side="right")

    def refresh(self) -> None:
        """Take in what has changed."""
        verified = self._talk.verified
        self.same_button.configure(
            text=_("Not verified after all") if verified else _("They are the same: mark as verified")
        )
        if self._talk.blocked and not self.accept_button.winfo_manager():
            self.accept_button.pack(side="left")
        elif not self._talk.blocked and self.accept_button.winfo_manager():
            self.accept_button.pack_forget()

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
