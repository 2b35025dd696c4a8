"""``NewTalkPage``: whom do you want to talk to?"""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from iirs.client.model.chat_model import ChatModel
from iirs.client.model.talk_sentences import group_offer
from iirs.client.text.translate import N_, _
from iirs.client.window.parts.flow import Flow, wrapping
from iirs.client.window.parts.scroll_page import ScrollPage
from iirs.client.window.theme.theme import Theme, window_keys_first

_RULE = N_(
    "You can talk once both of you have asked. Until then nobody, not even the server, can see whom you ask."
)


class NewTalkPage(ScrollPage):
    """A name to type, and who asks for us; ``ask`` gets a name, ``look`` the key of a group that asks."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        model: ChatModel,
        ask: Callable[[str], None],
        look: Callable[[str], None],
    ) -> None:
        super().__init__(parent, theme, 420)
        self._model = model
        self._ask = ask
        self._look = look
        self._offered: list[str] = []
        dp, card = theme.dp, self.body
        wrapping(ttk.Label(card, text=_("Whom do you want to talk to?"), font=theme.heading)).pack(fill="x")
        wrapping(ttk.Label(card, text=_(_RULE), style="Muted.TLabel")).pack(fill="x", pady=(dp(6), dp(14)))
        row = Flow(card, dp(10))
        row.pack(fill="x")
        self.entry = ttk.Entry(row, font=theme.text)
        self.button = ttk.Button(
            row, text=_("Ask to talk"), style="Accent.TButton", command=lambda: ask(self.entry.get())
        )
        row.show(self.entry, self.button, growing=self.entry, least=dp(140))
        window_keys_first(self.entry)
        self.entry.bind("<Return>", lambda _: ask(self.entry.get()))
        self.message = wrapping(ttk.Label(card, style="Error.TLabel", font=theme.small))
        self.message.pack(fill="x", pady=(dp(8), dp(8)))
        self.mends(self.message, self.entry)
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
        ground = ttk.Frame(self._asking, style="Warn.TFrame", padding=(dp(14), dp(8)))
        ground.pack(fill="x", pady=(0, dp(6)))
        row = Flow(ground, dp(8), "Warn.TFrame")
        row.pack(fill="x")
        talk = self._model.talk(peer)
        if talk.is_group:
            text, words, act = self._theme.visual(group_offer(talk)), _("Look"), self._look
        else:
            text, words, act = _("{peer} wants to talk to you").format(peer=peer), _("Accept"), self._ask
        label = wrapping(ttk.Label(row, text=text, style="Warn.TLabel", font=self._theme.bold))
        button = ttk.Button(row, text=words, style="Warn.Accent.TButton", command=lambda: act(peer))
        row.show(label, button, growing=label, least=dp(140))
