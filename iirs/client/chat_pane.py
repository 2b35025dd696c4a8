"""``ChatPane``: one conversation: who, the log, why nothing can be sent yet, and what is being written."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk

from iirs.client.chat_model import ChatModel
from iirs.client.events import PeerState
from iirs.client.log_view import LogView
from iirs.client.look import Look, window_keys_first
from iirs.client.requests import Requests
from iirs.client.talk import Talk
from iirs.client.talk_words import about, brief, why_not

_TALLEST = 6


class ChatPane(ttk.Frame):
    """Shows the conversation given to ``show``; ``refresh`` after anything may have changed."""

    def __init__(self, parent: tk.Misc, look: Look, model: ChatModel, requests: Requests) -> None:
        super().__init__(parent)
        self._look = look
        self._model = model
        self._requests = requests
        self._talk = Talk("")
        self._drafts: dict[str, str] = {}
        self._make_header()
        ttk.Frame(self, style="Line.TFrame", height=1).pack(fill="x")
        self._make_composer()
        self.log = LogView(self, look)
        self.log.pack(fill="both", expand=True)

    def _make_header(self) -> None:
        dp = self._look.dp
        header = ttk.Frame(self, padding=(dp(16), dp(10)))
        header.pack(fill="x")
        self._face = tk.Canvas(
            header,
            width=dp(40),
            height=dp(40),
            background=self._look.colours.background,
            highlightthickness=0,
        )
        self._face.pack(side="left", padx=(0, dp(12)))
        self.end_button = ttk.Button(header, text="End conversation", style="Danger.TButton")
        self.end_button.configure(command=lambda: self._requests.hang_up(self._talk.peer))
        self.ask_button = ttk.Button(header, style="Accent.TButton")
        self.ask_button.configure(command=lambda: self._requests.ask(self._talk.peer))
        names = ttk.Frame(header)
        names.pack(side="left", fill="x", expand=True)
        self._name_label = ttk.Label(names, style="Heading.TLabel")
        self._name_label.pack(anchor="w")
        self._brief = ttk.Label(names, style="Muted.TLabel")
        self._brief.pack(anchor="w")

    def _make_composer(self) -> None:
        dp = self._look.dp
        outer = ttk.Frame(self, padding=(dp(16), dp(6), dp(16), dp(12)))
        outer.pack(side="bottom", fill="x")
        self.reason = ttk.Label(outer, style="Muted.TLabel", padding=(dp(14), 0, 0, dp(6)))
        self.reason.pack(fill="x")
        self.send_button = ttk.Button(outer, text="Send", style="Accent.TButton", command=self.send_written)
        self.send_button.pack(side="right", anchor="s", padx=(dp(10), 0))
        field = ttk.Frame(outer, style="Composer.TFrame", padding=(dp(14), dp(8)))
        field.pack(side="left", fill="both", expand=True)
        self.entry = tk.Text(
            field,
            height=1,
            width=1,
            wrap="word",
            undo=True,
            font=self._look.text,
            background=self._look.colours.field,
            foreground=self._look.colours.ink,
            insertbackground=self._look.colours.accent,
            selectbackground=self._look.colours.accent,
            relief="flat",
            borderwidth=0,
            highlightthickness=0,
        )
        self.entry.pack(fill="both", expand=True)
        window_keys_first(self.entry)
        self.entry.bind("<FocusIn>", lambda _: self._mark_field(field, focused=True))
        self.entry.bind("<FocusOut>", lambda _: self._mark_field(field, focused=False))
        self.entry.bind("<Return>", self._press_return)
        self.entry.bind("<KP_Enter>", self._press_return)
        self.entry.bind("<Tab>", lambda _: self._leave_entry(forward=True))
        for sequence in ("<Shift-Tab>", "<ISO_Left_Tab>"):
            try:
                self.entry.bind(sequence, lambda _: self._leave_entry(forward=False))
            except tk.TclError:
                continue  # only X11 knows this key's name
        self.entry.bind("<<Modified>>", lambda _: self._grow())
        outer.bind("<Configure>", lambda event: self.reason.configure(wraplength=event.width - dp(40)))

    # -- what is shown ------------------------------------------------------------------------------

    def show(self, talk: Talk) -> None:
        """Show another conversation; what was being written in the last one is kept."""
        if self._talk.peer:
            self._drafts[self._talk.peer] = self.entry.get("1.0", "end-1c")
        self._talk = talk
        self.entry.delete("1.0", "end")
        self.entry.insert("1.0", self._drafts.pop(talk.peer, ""))
        self._face.delete("all")
        middle = self._look.dp(20)
        self._look.draw_avatar(self._face, talk.peer, middle, middle, 40)
        self._name_label.configure(text=talk.peer)
        self.log.show(talk)
        self.refresh()
        self.entry.focus_set()

    def refresh(self) -> None:
        """Take in what has changed."""
        talk, model = self._talk, self._model
        reason = why_not(model, talk)
        self.send_button.state(["disabled" if reason else "!disabled"])
        self.reason.configure(text=reason or about(model, talk))
        self._brief.configure(text=brief(talk) or "not in a conversation")
        self._show_buttons(talk)
        self.log.refresh()

    def _show_buttons(self, talk: Talk) -> None:
        may_ask = talk.state in {PeerState.IDLE, PeerState.ENDED}
        self.ask_button.configure(text="Accept" if talk.asks else "Ask to talk")
        self.end_button.configure(
            text="Stop asking" if talk.state is PeerState.ASKING else "End conversation"
        )
        for button, wanted in ((self.end_button, talk.may_end), (self.ask_button, may_ask)):
            if wanted and not button.winfo_manager():
                button.pack(side="right", padx=(self._look.dp(8), 0))
            elif not wanted and button.winfo_manager():
                button.pack_forget()

    # -- writing ------------------------------------------------------------------------------------

    def send_written(self) -> None:
        """Send what is written, if that can be now; otherwise it stays."""
        text = self.entry.get("1.0", "end-1c")
        if not text.strip() or why_not(self._model, self._talk):
            return
        if self._requests.send(self._talk.peer, text):
            self.entry.delete("1.0", "end")
            self.log.go_to_end()

    def _press_return(self, event: tk.Event[tk.Misc]) -> str | None:
        if int(event.state) & 0x0001:  # Shift: a new line, as Text does by itself
            return None
        self.send_written()
        return "break"

    def _leave_entry(self, *, forward: bool) -> str:
        following = self.entry.tk_focusNext() if forward else self.entry.tk_focusPrev()
        if following is not None:
            following.focus_set()
        return "break"

    def _mark_field(self, field: ttk.Frame, *, focused: bool) -> None:
        field.state(["focus" if focused else "!focus"])
        self.entry.configure(
            background=self._look.colours.background if focused else self._look.colours.field
        )

    def _grow(self) -> None:
        if not self.entry.edit_modified():
            return
        self.entry.edit_modified(False)
        count = self.entry.count("1.0", "end", "displaylines")
        lines = count[0] if isinstance(count, tuple) else (count or 1)
        self.entry.configure(height=min(_TALLEST, max(1, int(lines))))
