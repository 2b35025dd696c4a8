"""``NewTalkPage``: whom do you want to talk to?"""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from iirs.client.model.chat_model import ChatModel
from iirs.client.model.talk_sentences import group_offer
from iirs.client.text.translate import N_, _
from iirs.client.window.theme.theme import Theme, window_keys_first

_RULE = N_(
    "You can talk once both of you have asked for each other. "
    "Nobody else, not even the server, can see whom you ask for."
)


class NewTalkPage(ttk.Frame):
    """A name to type, and who asks for us; ``ask`` gets a name, ``look`` the key of a group that asks."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        model: ChatModel,
        ask: Callable[[str], None],
        look: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._model = model
        self._ask = ask
        self._look = look
        self._offered: list[str] = []
        dp = theme.dp
        card = ttk.Frame(self)
        card.place(relx=0.5, rely=0.42, anchor="center", width=dp(420))
        ttk.Label(
            card, text=_("Whom do you want to talk to?"), style="Title.TLabel", font=theme.heading
        ).pack(anchor="w")
        ttk.Label(card, text=_(_RULE), style="Muted.TLabel", wraplength=dp(420)).pack(
            anchor="w", pady=(dp(6), dp(14))
        )
        row = ttk.Frame(card)
        row.pack(fill="x")
        self.button = ttk.Button(
            row, text=_("Ask to talk"), style="Accent.TButton", command=lambda: ask(self.entry.get())
        )
        self.button.pack(side="right", padx=(dp(10), 0), fill="y")
        self.entry = ttk.Entry(row, font=theme.text)
        self.entry.pack(side="left", fill="x", expand=True)
        window_keys_first(self.entry)
        self.entry.bind("<Return>", lambda _: ask(self.entry.get()))
        self.message = ttk.Label(card, style="Error.TLabel", wraplength=dp(420), font=theme.small)
        self.message.pack(anchor="w", pady=(dp(8), dp(8)))
        self._asking = ttk.Frame(card)
        self._asking.pack(fill="x")

    def say(self, sentence: str) -> None:
        """Show a sentence under the name."""
        self.message.configure(text=sentence)

    def refresh(self) -> None:
        """Show who asks now."""
        asking = self._model.asking[:5]
        if asking == self._offered:
            return
        self._offered = asking
        for child in self._asking.winfo_children():
            child.destroy()
        ttk.Frame(self._asking, height=1).pack()
        for peer in asking:
            self._offer(peer)

    def _offer(self, peer: str) -> None:
        dp = self._theme.dp
        row = ttk.Frame(self._asking, style="Warn.TFrame", padding=(dp(14), dp(8)))
        row.pack(fill="x", pady=(0, dp(6)))
        talk = self._model.talk(peer)
        if talk.is_group:
            text, words, act = self._theme.visual(group_offer(talk)), _("Look"), self._look
        else:
            text, words, act = _("{peer} wants to talk to you").format(peer=peer), _("Accept"), self._ask
        button = ttk.Button(row, text=words, style="Warn.Accent.TButton", command=lambda: act(peer))
        button.pack(side="right")
        label = ttk.Label(row, text=text, style="Warn.TLabel", font=self._theme.bold, wraplength=dp(280))
        label.pack(side="left")
