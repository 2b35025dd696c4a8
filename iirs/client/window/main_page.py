"""``MainPage``: a logged-in window: talks at the side, a talk or a page beside them, and the status bar."""

from __future__ import annotations

import datetime
import tkinter as tk
from tkinter import ttk

from iirs.client.events import GroupState, PeerState
from iirs.client.model.actions import Requests
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.talk import Talk
from iirs.client.model.talk_sentences import brief
from iirs.client.store.log_entry import LogEntry
from iirs.client.text.display import displayable
from iirs.client.text.text_layout import clock_time, day_of
from iirs.client.text.translate import _
from iirs.client.window.pages.group_page import NewGroupPage
from iirs.client.window.pages.new_talk_page import Welcome
from iirs.client.window.pages.safety_page import SafetyPage
from iirs.client.window.parts.banners import Banners
from iirs.client.window.parts.find_strip import FindStrip
from iirs.client.window.parts.people_list import PeopleList, PersonRow
from iirs.client.window.parts.status_bar import StatusBar
from iirs.client.window.talk.chat_pane import ChatPane
from iirs.client.window.theme.avatars import number_of
from iirs.client.window.theme.theme import Look, window_keys_first

_STANDBY = "standby"
_BLOCKED = "blocked"
_LINE_MAX = 120


class MainPage(ttk.Frame):
    """Shows a ``ChatModel``; call ``refresh`` after it has changed and ``tick`` some times a second."""

    def __init__(self, parent: tk.Misc, look: Look, model: ChatModel, requests: Requests) -> None:
        super().__init__(parent)
        self._look = look
        self._model = model
        self._requests = requests
        self._standby = ""
        self._page: ttk.Frame | None = None
        self._wanted = tk.StringVar(self)
        self._wanted.trace_add("write", lambda *_: self._typed())
        self.status = StatusBar(self, look)
        self.status.pack(side="bottom", fill="x")
        side = self._make_side()
        self.people = PeopleList(side, look, requests.open)
        self.people.open_menu = self._open_menu
        self.people.pack(fill="both", expand=True)
        ttk.Frame(self, style="Line.TFrame", width=1).pack(side="left", fill="y")
        self._right = ttk.Frame(self)
        self._right.pack(side="left", fill="both", expand=True)
        self.banners = Banners(self._right, look)
        self.banners.pack(fill="x")
        self.found = FindStrip(self._right, look, self._search, self._go_to, self._close_found)
        self.welcome = Welcome(self._right, look, model, self.ask)
        self.chat = ChatPane(self._right, look, model, requests)
        self.open(model.open_peer)

    def _make_side(self) -> ttk.Frame:
        dp, look = self._look.dp, self._look
        side = ttk.Frame(self, style="Side.TFrame", width=dp(286))
        side.pack(side="left", fill="y")
        side.pack_propagate(False)
        top = ttk.Frame(side, style="Side.TFrame", padding=(dp(14), dp(12), dp(8), dp(6)))
        top.pack(fill="x")
        self._face = tk.Canvas(
            top, width=dp(32), height=dp(32), background=look.colours.side, highlightthickness=0
        )
        self._face.pack(side="left", padx=(0, dp(10)))
        self.log_out_button = ttk.Button(
            top, text=_("Log out"), style="SideQuiet.TButton", command=self._requests.log_out
        )
        self.settings_button = ttk.Button(
            top, text="⚙", width=2, style="SideQuiet.TButton", command=self._requests.show_settings
        )
        self.settings_button.pack(side="right")
        self.log_out_button.pack(side="right")
        ttk.Label(top, text=self._model.me, style="SideHeading.TLabel").pack(side="left", fill="x")
        search = ttk.Frame(side, style="Side.TFrame", padding=(dp(12), dp(4), dp(12), dp(6)))
        search.pack(fill="x")
        self.search = ttk.Entry(search, textvariable=self._wanted, style="Side.TEntry", font=look.text)
        row = ttk.Frame(search, style="Side.TFrame")
        row.pack(fill="x")
        self.new_button = ttk.Button(
            row, text=_("New talk"), style="SideQuiet.TButton", command=lambda: self._requests.open("")
        )
        self.group_button = ttk.Button(
            row, text=_("New group"), style="SideQuiet.TButton", command=self.new_group
        )
        self.new_button.pack(side="left")
        self.group_button.pack(side="right")
        find = ttk.Label(search, text=_("Find people and messages"), style="SideMuted.TLabel")
        find.pack(anchor="w", pady=(dp(4), dp(2)))
        self.search.pack(fill="x")
        window_keys_first(self.search)
        self.search.bind("<Return>", lambda _: self._open_first())
        self.search.bind("<Down>", lambda _: self.people.canvas.focus_set())
        self.slots = ttk.Label(side, style="SideMuted.TLabel", padding=(dp(14), 0, dp(8), dp(4)))
        self.slots.pack(fill="x")
        return side

    # -- what is shown ------------------------------------------------------------------------------

    def open(self, peer: str) -> None:
        """Look at a talk, or ask whom to talk to if it is nobody's."""
        if peer:
            talk = self._model.open(peer)
            self._show(self.chat)
            self.chat.show(talk)
        else:
            self.chat.keep_draft()
            self._model.open_peer = ""
            self._show(self.welcome)
            self.welcome.entry.focus_set()
        self.refresh()

    def _show(self, page: ttk.Frame) -> None:
        for shown in (self.welcome, self.chat):
            shown.pack_forget()
        if self._page is not None:
            self._page.destroy()
            self._page = None
        if page not in (self.welcome, self.chat):
            self._page = page
        page.pack(fill="both", expand=True)

    def new_group(self) -> None:
        """Show the page that founds a group."""
        self.chat.keep_draft()
        page = NewGroupPage(
            self._right, self._look, self._model, self._requests.create_group, self._close_page
        )
        self._show(page)
        page.name_entry.focus_set()

    def show_safety(self, peer: str) -> None:
        """Show the page with a person's safety number."""
        talk = self._model.talk(peer)
        if talk.number:
            self.chat.keep_draft()
            self._show(
                SafetyPage(self._right, self._look, self._model.me, talk, self._requests, self._close_page)
            )

    @property
    def page(self) -> ttk.Frame | None:
        """The page shown instead of a talk, if there is one."""
        return self._page

    def _close_page(self) -> None:
        self._requests.open(self._model.open_peer)

    def refresh(self) -> None:
        """Take in what has changed."""
        model = self._model
        self._show_offers()
        self._show_warnings()
        if model.notice:
            self.status.say(displayable(_(model.notice)))
            self.welcome.say(displayable(_(model.notice)))
            model.notice = ""
        if isinstance(self._page, NewGroupPage | SafetyPage):
            self._page.refresh()
        elif model.open_peer:
            self.chat.refresh()
        else:
            self.welcome.refresh()
        self._show_people()
        self.tick()

    def tick(self) -> None:
        """Move the countdown."""
        self.status.show(self._model)

    # -- people -------------------------------------------------------------------------------------

    def _show_people(self) -> None:
        model = self._model
        if model.numbers:
            self._face.delete("all")
            middle = self._look.dp(16)
            number = model.numbers.get(model.me, "")
            self._look.draw_avatar(self._face, number, model.me, (middle, middle), 32)
        today = datetime.datetime.now().astimezone().date()
        rows = [self._row(name, today) for name in model.order(self._wanted.get())]
        self.people.show(rows, "" if self._page is not None else model.open_peer)
        waiting = sum(talk.state is PeerState.WAITING for talk in model.talks.values())
        words = _("{used} of {all} conversations in use").format(used=model.in_use, all=model.slots)
        if waiting:
            words += " · " + _("{count} waiting for a place").format(count=waiting)
        self.slots.configure(text=words)

    def _row(self, name: str, today: datetime.date) -> PersonRow:
        talk = self._model.talks.get(name)
        if talk is None:
            number = self._model.numbers.get(name, "")
            return PersonRow(name, name, number, "", "", 0, lively=False, asks=False)
        asks = talk.asks or talk.group is GroupState.INVITED
        when = ""
        if talk.last is not None:
            day = day_of(talk.last.at_ms)
            if day is not None:
                when = clock_time(talk.last.at_ms) if day == today else f"{day:%d.%m.}"
        lively = talk.state in {PeerState.CONNECTED, PeerState.QUIET}
        line = _line(talk) or brief(talk)
        return PersonRow(
            name, talk.title, number_of(talk), line, when, talk.unread, lively, asks, talk.verified
        )

    def _typed(self) -> None:
        self._show_people()
        words = self._wanted.get().strip()
        if len(words) > 1:
            self._search(words)
        else:
            self._close_found()

    def _search(self, words: str) -> None:
        self._requests.search("", words)

    def show_found(self, words: str, entries: list[LogEntry]) -> None:
        """Show the messages a search in all talks came to."""
        if words != self._wanted.get().strip() and not self.found.winfo_manager():
            return
        if entries and not self.found.winfo_manager():
            self.found.entry.delete(0, "end")
            self.found.entry.insert(0, words)
            self.found.pack(fill="x", after=self.banners)
        self.found.show_found(entries)

    def _close_found(self) -> None:
        self.found.pack_forget()

    def _go_to(self, entry: LogEntry) -> None:
        self._close_found()
        self._wanted.set("")
        self._requests.open(entry.talk)
        self.chat.jump_to(entry.item_id)

    def _open_first(self) -> None:
        wanted = self._wanted.get().strip().lower()
        names = self.people.names
        if wanted in names or names:
            self._wanted.set("")
            self._requests.open(wanted if wanted in names else names[0])
        elif wanted:
            self.status.say(_("Nobody here has such a name. Names appear some rounds after people register."))

    def ask(self, name: str) -> None:
        """Ask ``name`` to talk and look at the conversation, or say why not."""
        name = name.strip().lower()
        if name == self._model.me:
            self.welcome.say(_("That is your own name. Ask somebody else to talk."))
        elif name in self._model.people:
            self._requests.open(name)
            self._requests.ask(name)
        elif not self._model.people:
            self.welcome.say(_("The list of people has not come yet. Try again in a moment."))
        elif name:
            self.welcome.say(
                _(
                    "Nobody with that name is registered on this server. Names appear some rounds after "
                    "people register."
                )
            )

    def _open_menu(self, key: str, x: int, y: int) -> None:
        menu, talk, requests = self.chat.row_menu, self._model.talks.get(key), self._requests
        menu.delete(0, "end")
        menu.add_command(label=_("Open"), command=lambda: requests.open(key))
        if talk is None or not talk.is_group:
            if talk is not None and talk.may_end:
                menu.add_command(label=_("End conversation"), command=lambda: requests.hang_up(key))
            else:
                menu.add_command(label=_("Ask to talk"), command=lambda: requests.ask(key))
            if talk is not None and talk.asks:
                menu.add_command(label=_("Decline"), command=lambda: requests.decline(key))
            menu.add_command(label=_("Safety number …"), command=lambda: requests.show_safety(key))
        menu.tk_popup(x, y)

    # -- banners ------------------------------------------------------------------------------------

    def warn(self, sentence: str, *, alarm: bool) -> None:
        """Show a sentence above everything until the person puts it away."""
        self.banners.warn(displayable(_(sentence)), "Bad" if alarm else "Warn")

    def _show_offers(self) -> None:
        model, requests = self._model, self._requests
        asking = [peer for peer in model.asking if peer != model.open_peer and model.open_peer]
        for peer in asking:
            talk = model.talks[peer]
            if talk.is_group:
                text = _("{peer} asks you to join the group {name}.").format(
                    peer=talk.founder, name=talk.title
                )
                self.banners.show(
                    f"ask {peer}",
                    "Warn",
                    text,
                    [(_("Look"), "Accent.", lambda p=peer: requests.open(p))],  # type: ignore[misc]
                )
            else:
                text = _("{peer} wants to talk to you. Declining is not told to anybody.").format(peer=peer)
                self.banners.show(
                    f"ask {peer}",
                    "Warn",
                    text,
                    [
                        (_("Accept"), "Accent.", lambda p=peer: requests.ask(p)),  # type: ignore[misc]
                        (_("Decline"), "", lambda p=peer: requests.decline(p)),  # type: ignore[misc]
                    ],
                )
        for key in self.banners.shown:
            if key.startswith("ask ") and key.removeprefix("ask ") not in asking:
                self.banners.drop(key)

    def _show_warnings(self) -> None:
        model = self._model
        if model.standby != self._standby:
            self._standby = model.standby
            self.banners.drop(_STANDBY)
            if model.standby:
                self.banners.show(_STANDBY, "Warn", model.standby)
        talk = model.talks.get(model.open_peer)
        blocked = f"{_BLOCKED} {talk.peer}" if talk is not None and talk.blocked else ""
        for key in self.banners.shown:
            if key.startswith(_BLOCKED) and key != blocked:
                self.banners.drop(key)
        if talk is not None and blocked:
            peer = talk.peer
            answer = (_("Compare safety numbers"), "", lambda: self._requests.show_safety(peer))
            self.banners.show(blocked, "Bad", _(talk.blocked), [answer])
        for sentence in model.alarms:
            self.warn(sentence, alarm=True)
        model.alarms.clear()


def _line(talk: Talk) -> str:
    """Return the last thing said, on one line; "" while something else matters more."""
    row = talk.last
    if row is None or talk.asks or talk.group is GroupState.INVITED:
        return ""
    text = row.shown[:_LINE_MAX].replace("\n", " ")
    if row.file is not None:
        text = _("[file] {name}").format(name=text)
    if row.outgoing:
        return _("You: {text}").format(text=text)
    return f"{row.author}: {text}" if talk.is_group and row.author else text
