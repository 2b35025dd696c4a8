"""``MainPage``: a logged-in window: talks at the side, a talk or a page beside them, and the status bar."""

from __future__ import annotations

import tkinter as tk
from functools import partial
from tkinter import ttk

from iirs.client.events import ConnectionState
from iirs.client.model.actions import Actions
from iirs.client.model.background import Found, KeptDrafts
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.picture_queue import Picture
from iirs.client.model.talk import Talk
from iirs.client.model.talk_sentences import group_offer
from iirs.client.model.timer_sentences import timer_wish
from iirs.client.store.log_entry import LogEntry
from iirs.client.text.display import displayable, one_line
from iirs.client.text.translate import _
from iirs.client.window.pages.group_page import NewGroupPage
from iirs.client.window.pages.new_talk_page import NewTalkPage
from iirs.client.window.pages.safety_page import SafetyPage
from iirs.client.window.parts.banners import Answer, Banners
from iirs.client.window.parts.find_strip import FindStrip
from iirs.client.window.parts.scroll_page import FillingPage
from iirs.client.window.parts.side_column import SideColumn
from iirs.client.window.parts.status_bar import StatusBar
from iirs.client.window.talk.chat_pane import ChatPane
from iirs.client.window.theme.focus import is_lost
from iirs.client.window.theme.theme import Theme

_STANDBY = "standby"
_BLOCKED = "blocked"
_KEEPING = "keeping"
_ENDED = "ended"
_ROOM_FOR_BOTH = 620
"""The width from which people and a talk fit beside each other, in dp."""
_TIMER = "timer"
_NOTICE_MAX = 400
_OFFERS_MAX = 3
"""Banners of who asks: others are first in the list, and do not push the talk off the screen."""


class MainPage(ttk.Frame):
    """Shows a ``ChatModel``; call ``refresh`` after it has changed and ``tick`` some times a second."""

    def __init__(self, parent: tk.Misc, theme: Theme, model: ChatModel, actions: Actions) -> None:
        super().__init__(parent)
        self._theme = theme
        self._model = model
        self._actions = actions
        self._states: dict[str, str] = {}
        self._page: ttk.Frame | None = None
        self._wanted = tk.StringVar(self)
        self._wanted.trace_add("write", lambda *_: self._typed())
        self.status = StatusBar(self, theme)
        self.status.pack(side="bottom", fill="x")
        self.side = SideColumn(self, theme, model, self._wanted)
        self.side.pack(side="left", fill="y")
        self._wire_side()
        self._line = ttk.Frame(self, style="Line.TFrame", width=1)
        self._line.pack(side="left", fill="y")
        self._beside = FillingPage(self, theme)
        self._beside.pack(side="left", fill="both", expand=True)
        self._right = self._beside.inside
        self._is_narrow = False
        self._back_button = ttk.Button(
            self._right, text=_("← All talks"), style="Quiet.TButton", command=self.find_people
        )
        self.bind("<Configure>", lambda event: self._fit(event.width))
        self.banners = Banners(self._right, theme)
        self.banners.pack(fill="x")
        search = partial(actions.search, "")
        self.found = FindStrip(self._right, theme, search, self._go_to, self._close_found)
        self.new_talk_page = NewTalkPage(self._right, theme, model, self.ask, self.open)
        self.chat = ChatPane(self._right, theme, model, actions)
        self.chat.show_safety = self.show_safety
        self.status.lift()  # Tab goes there last, as it lies below the rest
        self.open(model.open_peer)

    def _wire_side(self) -> None:
        side, actions = self.side, self._actions
        side.people.choose = self._choose
        side.people.open_menu = self._open_menu
        side.log_out_button.configure(command=actions.log_out)
        side.settings_button.configure(command=actions.show_settings)
        side.new_button.configure(command=lambda: self.open(""))
        side.group_button.configure(command=self.new_group)
        side.search.bind("<Return>", lambda _: self._open_first())

    # -- what is shown ------------------------------------------------------------------------------

    def open(self, peer: str) -> None:
        """Look at a talk, or ask whom to talk to if it is nobody's."""
        if peer:
            talk = self._model.open(peer)
            self._show(self.chat)
            self.chat.show(talk)
            if not talk.has_history:
                self._actions.read(peer, None)
        else:
            self.chat.keep_draft()
            self._model.open_peer = ""
            self._show(self.new_talk_page)
            self.new_talk_page.entry.focus_set()
        self.refresh()

    def _fit(self, width: int) -> None:
        """Show the people beside the rest; or one or the other, where there is no room for both."""
        is_narrow = 1 < width < self._theme.dp(_ROOM_FOR_BOTH)
        if is_narrow == self._is_narrow:
            return
        self._is_narrow = is_narrow
        if is_narrow:
            self._line.pack_forget()
            self.side.pack_forget()
            self._back_button.pack(anchor="w", before=self.banners, padx=self._theme.dp(8))
            self._look_at(people=False)
        else:
            self._back_button.pack_forget()
            self._beside.pack_forget()
            self.side.pack(side="left", fill="y", expand=False)
            self._line.pack(side="left", fill="y")
            self._beside.pack(side="left", fill="both", expand=True)

    def _look_at(self, *, people: bool) -> None:
        if not self._is_narrow:
            return
        shown, hidden = (self.side, self._beside) if people else (self._beside, self.side)
        hidden.pack_forget()
        shown.pack(side="left", fill="both", expand=True)

    def _show(self, page: ttk.Frame) -> None:
        self._look_at(people=False)
        for shown in (self.new_talk_page, self.chat):
            shown.pack_forget()
        if self._page is not None:
            self._page.destroy()
            self._page = None
        if page not in (self.new_talk_page, self.chat):
            self._page = page
        page.pack(fill="both", expand=True)

    def step(self, step: int) -> None:
        """Look at the talk so many places below the one that is open, or above it."""
        model = self._model
        names = [name for name in model.order() if name in model.talks]
        if names:
            here = names.index(model.open_peer) if model.open_peer in names else -step
            self.open(names[(here + step) % len(names)])

    def _focus_home(self) -> None:
        """Put the cursor where what is shown now begins: Tk puts it nowhere when what had it is gone."""
        if self._is_narrow and self.side.winfo_manager():
            self.side.search.focus_set()
        elif isinstance(self._page, NewGroupPage | SafetyPage):
            self._page.first.focus_set()
        else:
            self.focus_writing()

    def focus_writing(self) -> None:
        """Put the cursor where the person writes, to a peer or whom to talk to, if that is what is shown."""
        if self._page is None:
            self._look_at(people=False)
            (self.chat.entry if self._model.open_peer else self.new_talk_page.entry).focus_set()

    def back(self) -> None:
        """Put away what is searched for, and the page in place of a talk, and go back to writing."""
        self._wanted.set("")
        self.found.pack_forget()
        if self._page is not None:
            self._close_page()
        self.focus_writing()

    def find_people(self) -> None:
        """Put the cursor where people and messages are looked for."""
        self._look_at(people=True)
        self.side.search.focus_set()

    def find_text(self) -> None:
        """Look for words in the talk that is open, or in all of them."""
        if self._model.open_peer:
            self.chat.find()
        else:
            self.find_people()

    def new_group(self) -> None:
        """Show the page that founds a group."""
        self.chat.keep_draft()
        page = NewGroupPage(
            self._right, self._theme, self._model, self._actions.create_group, self._close_page
        )
        self._show(page)
        page.name_entry.focus_set()

    def show_safety(self, peer: str) -> None:
        """Show the page with a person's safety number."""
        talk = self._model.talk(peer)
        if talk.number:
            self.chat.keep_draft()
            self._show(
                SafetyPage(self._right, self._theme, self._model.me, talk, self._actions, self._close_page)
            )

    @property
    def page(self) -> ttk.Frame | None:
        """The page shown instead of a talk, if there is one."""
        return self._page

    def _close_page(self) -> None:
        self.open(self._model.open_peer)

    def refresh(self) -> None:
        """Take in what has changed."""
        model = self._model
        self._show_offers()
        self._show_warnings()
        if model.notice:
            self.status.say(self._theme.visual(one_line(model.notice, _NOTICE_MAX)))
            self.new_talk_page.say(one_line(model.notice, _NOTICE_MAX))
            model.notice = ""
        if isinstance(self._page, NewGroupPage | SafetyPage):
            self._page.refresh()
        elif model.open_peer:
            self.chat.refresh()
        else:
            self.new_talk_page.refresh()
        self._show_side()
        self.tick()

    def tick(self) -> None:
        """Move the countdown, and see to it that keys go somewhere."""
        self.status.show(self._model)
        if is_lost(self.winfo_toplevel()):
            self._focus_home()

    # -- people -------------------------------------------------------------------------------------

    def _show_side(self) -> None:
        self.side.refresh("" if self._page is not None else self._model.open_peer)

    def _typed(self) -> None:
        self._show_side()
        words = self._wanted.get().strip()
        if len(words) > 1:
            self._actions.search("", words)
        else:
            self.found.pack_forget()

    def take(self, reading: Picture | Found | KeptDrafts) -> None:
        """Show what was read: a picture in the log, what a search came to, or what was being written."""
        match reading:
            case KeptDrafts():
                self.chat.show_kept_draft()
            case Picture():
                self.chat.log.take_picture(reading)
            case Found(talk, _, entries) if talk:
                self.chat.show_found(list(entries))
            case Found(_, words, entries):
                self._show_found(words, list(entries))

    def _show_found(self, words: str, entries: list[LogEntry]) -> None:
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
        self.found.pack_forget()
        self._wanted.set("")
        self.open(entry.talk)
        self.chat.jump_to(entry.item_id)

    def _choose(self, key: str) -> None:
        """Look at a talk in the list; whatever was searched for is found."""
        self._wanted.set("")
        self.open(key)

    def _open_first(self) -> None:
        wanted = self._wanted.get().strip().lower()
        names = self.side.people.names
        if names:
            self._choose(wanted if wanted in names else names[0])
        elif wanted:
            self.status.say(_("Nobody here has such a name. Names appear some rounds after people register."))

    def ask(self, name: str) -> None:
        """Ask ``name`` to talk and look at the conversation, or say why not."""
        name = name.strip().lower()
        if name == self._model.me:
            self.new_talk_page.say(_("That is your own name. Ask somebody else to talk."))
        elif name in self._model.people:
            self.open(name)
            self._actions.ask(name)
        elif not self._model.people:
            self.new_talk_page.say(_("The list of people has not come yet. Try again in a moment."))
        elif not name:
            self.new_talk_page.say(_("Type a name first."))
        else:
            self.new_talk_page.say(
                _(
                    "Nobody with that name is registered on this server. Names appear some rounds after "
                    "people register."
                )
            )

    def _open_menu(self, key: str, x: int, y: int) -> None:
        menu, talk, actions = self.chat.row_menu, self._model.talks.get(key), self._actions
        menu.delete(0, "end")
        menu.add_command(label=_("Open"), command=lambda: self.open(key))
        if talk is None or not talk.is_group:
            if talk is not None and talk.may_end:
                menu.add_command(label=_("End conversation"), command=lambda: self.chat.end(talk))
            else:
                menu.add_command(label=_("Ask to talk"), command=lambda: actions.ask(key))
            if talk is not None and talk.asks:
                menu.add_command(label=_("Decline"), command=lambda: actions.decline(key))
            menu.add_command(label=_("Safety number …"), command=lambda: self.show_safety(key))
        menu.tk_popup(x, y)

    # -- banners ------------------------------------------------------------------------------------

    def warn(self, sentence: str, *, alarm: bool) -> None:
        """Show a sentence above everything until the person puts it away."""
        self.banners.warn(displayable(sentence), "Bad" if alarm else "Warn")

    def _show_offers(self) -> None:
        model, actions = self._model, self._actions
        others = [peer for peer in model.asking if peer != model.open_peer and model.open_peer]
        asking = others[:_OFFERS_MAX]
        for peer in asking:
            talk = model.talks[peer]
            if talk.is_group:
                self.banners.show(
                    f"ask {peer}",
                    "Warn",
                    self._theme.visual(group_offer(talk)),
                    [(_("Look"), "Accent.", lambda p=peer: self.open(p))],  # type: ignore[misc]
                )
            else:
                text = _("{peer} wants to talk to you. Nobody is told if you decline.").format(peer=peer)
                self.banners.show(
                    f"ask {peer}",
                    "Warn",
                    text,
                    [
                        (_("Accept"), "Accent.", lambda p=peer: actions.ask(p)),  # type: ignore[misc]
                        (_("Decline"), "", lambda p=peer: actions.decline(p)),  # type: ignore[misc]
                    ],
                )
        self.banners.keep_only("ask ", *(f"ask {peer}" for peer in asking))

    def _show_state(self, key: str, style: str, sentence: str, *answers: Answer) -> None:
        """Show a sentence for as long as it holds; "" is none."""
        if sentence != self._states.get(key, ""):
            self._states[key] = sentence
            self.banners.drop(key)
            if sentence:
                self.banners.show(key, style, displayable(sentence), answers)

    def _show_warnings(self) -> None:
        model = self._model
        ended = model.sentence if model.connection is ConnectionState.CLOSED else ""
        again = (_("Log in again"), "Accent.", self._actions.log_out)
        self._show_state(_STANDBY, "Warn", model.standby)
        self._show_state(_KEEPING, "Bad", "" if ended else model.keeping)
        self._show_state(_ENDED, "Bad", ended, again)
        talk = model.talks.get(model.open_peer)
        blocked = f"{_BLOCKED} {talk.peer}" if talk is not None and talk.blocked else ""
        self.banners.keep_only(_BLOCKED, blocked)
        if talk is not None and blocked:
            peer = talk.peer
            answer = (_("Compare safety numbers"), "", lambda: self.show_safety(peer))
            self.banners.show(blocked, "Bad", _(talk.blocked), [answer])
        self._show_timer_wish(talk)
        for sentence in model.alarms:
            self.warn(sentence, alarm=True)
        model.alarms.clear()

    def _show_timer_wish(self, talk: Talk | None) -> None:
        wish = f"{_TIMER} {talk.timer_by} {talk.timer_asked} {talk.peer}" if talk and talk.timer_by else ""
        self.banners.keep_only(_TIMER, wish)
        if talk is not None and wish:
            peer, seconds = talk.peer, talk.timer_asked
            answers = [
                (_("Agree"), "Accent.", lambda: self._actions.set_timer(peer, seconds)),
                (_("Leave it"), "", lambda: self._actions.leave_timer(peer)),
            ]
            self.banners.show(wish, "Warn", timer_wish(talk.timer_by, seconds) + ".", answers)
