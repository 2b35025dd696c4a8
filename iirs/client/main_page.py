"""``MainPage``: a logged-in window: people at the side, whom to talk to or the chat, and the status bar."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk

from iirs.client.chat_model import ChatModel
from iirs.client.chat_pane import ChatPane
from iirs.client.display import displayable
from iirs.client.events import PeerState
from iirs.client.look import Look, window_keys_first
from iirs.client.people_list import PeopleList, PersonRow
from iirs.client.requests import Requests
from iirs.client.status_bar import StatusBar
from iirs.client.talk_words import brief
from iirs.client.welcome import Welcome

_STANDBY = "standby"


class MainPage(ttk.Frame):
    """Shows a ``ChatModel``; call ``refresh`` after it has changed and ``tick`` some times a second."""

    def __init__(self, parent: tk.Misc, look: Look, model: ChatModel, requests: Requests) -> None:
        super().__init__(parent)
        self._look = look
        self._model = model
        self._requests = requests
        self._banners: dict[str, ttk.Frame] = {}
        self._standby = ""
        self._wanted = tk.StringVar(self)
        self._wanted.trace_add("write", lambda *_: self._show_people())
        self.status = StatusBar(self, look)
        self.status.pack(side="bottom", fill="x")
        side = self._make_side()
        self.people = PeopleList(side, look, requests.open)
        self.people.pack(fill="both", expand=True)
        ttk.Frame(self, style="Line.TFrame", width=1).pack(side="left", fill="y")
        right = ttk.Frame(self)
        right.pack(side="left", fill="both", expand=True)
        self.banner_area = ttk.Frame(right)
        self.banner_area.pack(fill="x")
        ttk.Frame(self.banner_area, height=1, width=1).pack()  # an empty frame keeps its last height
        self.welcome = Welcome(right, look, model, self.ask)
        self.chat = ChatPane(right, look, model, requests)
        self.open("")

    def _make_side(self) -> ttk.Frame:
        dp, look = self._look.dp, self._look
        side = ttk.Frame(self, style="Side.TFrame", width=dp(264))
        side.pack(side="left", fill="y")
        side.pack_propagate(False)
        top = ttk.Frame(side, style="Side.TFrame", padding=(dp(14), dp(12), dp(12), dp(6)))
        top.pack(fill="x")
        face = tk.Canvas(
            top, width=dp(32), height=dp(32), background=self._look.colours.side, highlightthickness=0
        )
        face.pack(side="left", padx=(0, dp(10)))
        look.draw_avatar(face, self._model.me, dp(16), dp(16), 32)
        self.log_out_button = ttk.Button(
            top, text="Log out", style="SideQuiet.TButton", command=self._requests.log_out
        )
        self.log_out_button.pack(side="right")
        ttk.Label(top, text=self._model.me, style="SideHeading.TLabel").pack(side="left", fill="x")
        search = ttk.Frame(side, style="Side.TFrame", padding=(dp(12), dp(4), dp(12), dp(6)))
        search.pack(fill="x")
        label = ttk.Frame(search, style="Side.TFrame")
        label.pack(fill="x")
        ttk.Label(label, text="Find people", style="SideMuted.TLabel").pack(side="left", pady=(0, dp(3)))
        self.new_button = ttk.Button(
            label, text="New talk", style="SideQuiet.TButton", command=lambda: self.open("")
        )
        self.new_button.pack(side="right")
        self.search = ttk.Entry(search, textvariable=self._wanted, style="Side.TEntry", font=look.text)
        self.search.pack(fill="x")
        window_keys_first(self.search)
        self.search.bind("<Return>", lambda _: self._open_first())
        self.search.bind("<Down>", lambda _: self.people.canvas.focus_set())
        return side

    # -- what is shown ------------------------------------------------------------------------------

    def open(self, peer: str) -> None:
        """Look at ``peer``'s conversation, or ask whom to talk to if it is nobody's."""
        if peer:
            self.welcome.pack_forget()
            self.chat.pack(fill="both", expand=True)
            self.chat.show(self._model.open(peer))
        else:
            self._model.open_peer = ""
            self.chat.pack_forget()
            self.welcome.pack(fill="both", expand=True)
            self.welcome.entry.focus_set()
        self.refresh()

    def refresh(self) -> None:
        """Take in what has changed."""
        model = self._model
        for peer in model.asking:
            if peer != model.open_peer and model.open_peer:
                self._offer(peer)
        for key in [key for key in self._banners if key.startswith("ask ")]:
            peer = key.removeprefix("ask ")
            if peer == model.open_peer or not model.open_peer or peer not in model.asking:
                self._drop_banner(key)
        if model.standby != self._standby:
            self._standby = model.standby
            self._drop_banner(_STANDBY)
            if model.standby:
                self._banner(_STANDBY, "Warn", model.standby)
        for sentence in model.alarms:
            self.warn(sentence, alarm=True)
        model.alarms.clear()
        if model.notice:
            self.status.say(displayable(model.notice))
            self.welcome.say(displayable(model.notice))
            model.notice = ""
        if model.open_peer:
            self.chat.refresh()
        else:
            self.welcome.refresh()
        self._show_people()
        self.tick()

    def tick(self) -> None:
        """Move the countdown."""
        self.status.show(self._model)

    def _show_people(self) -> None:
        rows = []
        for name in self._model.order(self._wanted.get()):
            talk = self._model.talks.get(name)
            if talk is None:
                rows.append(PersonRow(name, "", 0, lively=False, asks=False))
            else:
                lively = talk.state in {PeerState.CONNECTED, PeerState.QUIET}
                rows.append(PersonRow(name, brief(talk), talk.unread, lively, talk.asks))
        self.people.show(rows, self._model.open_peer)

    def _open_first(self) -> None:
        wanted = self._wanted.get().strip().lower()
        names = self.people.names
        if wanted in names or names:
            self._wanted.set("")
            self._requests.open(wanted if wanted in names else names[0])
        elif wanted:
            self.status.say("Nobody here has such a name. Names appear some rounds after people register.")

    def ask(self, name: str) -> None:
        """Ask ``name`` to talk and look at the conversation, or say why not."""
        name = name.strip().lower()
        if name == self._model.me:
            self.welcome.say("That is your own name. Ask somebody else to talk.")
        elif name in self._model.people:
            self._requests.open(name)
            self._requests.ask(name)
        elif not self._model.people:
            self.welcome.say("The list of people has not come yet. Try again in a moment.")
        elif name:
            self.welcome.say(
                "Nobody with that name is registered on this server. Names appear some rounds after people "
                "register."
            )

    # -- banners ------------------------------------------------------------------------------------

    def warn(self, sentence: str, *, alarm: bool) -> None:
        """Show a sentence above everything until the person puts it away."""
        style = "Bad" if alarm else "Warn"
        text = displayable(sentence)
        banner = self._banner(text, style, text)
        if banner is not None:
            close = ttk.Button(banner, text="OK", style=f"{style}.TButton")
            close.configure(command=lambda: self._drop_banner(text))
            close.pack(side="right", before=banner.winfo_children()[0])

    def _offer(self, peer: str) -> None:
        key = f"ask {peer}"
        banner = self._banner(key, "Warn", f"{peer} wants to talk to you.")
        if banner is not None:
            accept = ttk.Button(
                banner, text="Accept", style="Warn.Accent.TButton", command=lambda: self._requests.ask(peer)
            )
            accept.pack(side="right", before=banner.winfo_children()[0])

    def _banner(self, key: str, style: str, text: str) -> ttk.Frame | None:
        """Return a new banner, or ``None`` if it is there already."""
        if key in self._banners:
            return None
        dp = self._look.dp
        banner = ttk.Frame(self.banner_area, style=f"{style}.TFrame", padding=(dp(16), dp(8)))
        banner.pack(fill="x")
        label = ttk.Label(banner, text=text, style=f"{style}.TLabel", font=self._look.small)
        label.pack(side="left", fill="x", expand=True)
        banner.bind("<Configure>", lambda event: label.configure(wraplength=event.width - dp(150)))
        self._banners[key] = banner
        return banner

    def _drop_banner(self, key: str) -> None:
        banner = self._banners.pop(key, None)
        if banner is not None:
            banner.destroy()
