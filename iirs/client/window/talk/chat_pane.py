"""``ChatPane``: one talk: who, the log, why nothing can be sent yet, and what is being written."""

from __future__ import annotations

import tkinter as tk
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tkinter import filedialog, ttk

from iirs.client.events import ConnectionState, GroupState, PeerState
from iirs.client.messenger.file_transfer import safe_name
from iirs.client.messenger.timers import OFFERED
from iirs.client.model.actions import Actions
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.talk import Row, Talk
from iirs.client.model.talk_sentences import about, brief, why_not
from iirs.client.store.log_entry import LogEntry, TransferState
from iirs.client.text.display import cut_middle
from iirs.client.text.key_names import key_name
from iirs.client.text.links import ADDRESS_SHOWN, host_of, whole_link
from iirs.client.text.text_layout import clock_time, day_of
from iirs.client.text.translate import N_, _
from iirs.client.window.parts.find_strip import FindStrip
from iirs.client.window.parts.flow import Flow
from iirs.client.window.parts.question import Question
from iirs.client.window.talk.bubbles import note_of
from iirs.client.window.talk.composer import Composer, FileToSend
from iirs.client.window.talk.log_view import LogView
from iirs.client.window.theme.avatars import number_of
from iirs.client.window.theme.menus import menu as new_menu
from iirs.client.window.theme.theme import Theme

_TIMER_WORDS = (N_("Off"), N_("5 minutes"), N_("1 hour"), N_("1 day"), N_("1 week"))
TIMERS = tuple(zip(OFFERED, _TIMER_WORDS, strict=True))


class ChatPane(ttk.Frame):
    """Shows the talk given to ``show``; ``refresh`` after anything may have changed."""

    def __init__(self, parent: tk.Misc, theme: Theme, model: ChatModel, actions: Actions) -> None:
        super().__init__(parent)
        self._theme = theme
        self._model = model
        self._actions = actions
        self._talk = Talk("")
        self._wanted_entry = b""
        self._make_header()
        ttk.Frame(self, style="Line.TFrame", height=1).pack(fill="x")
        self.finder = FindStrip(self, theme, self._search, self._go_to, self.close_find)
        self.composer = Composer(self, theme, self._send, self._send_file, self._room_for)
        self.composer.pack(side="bottom", fill="x")
        self.log = LogView(self, theme)
        self.log.pack(fill="both", expand=True)
        self.log.ask_older = self._read_older
        self.show_safety: Callable[[str], None] = lambda peer: None
        """Called with the peer whose safety number is to be shown."""
        self.log.pictures.ask = lambda files: actions.pictures(files, self.log.picture_side)
        self.log.open_link = self.warn_of_link
        self.log.open_menu = self._open_row_menu
        self.row_menu = new_menu(self, theme)
        self.composer.lift()  # Tab goes from the log to what is written below it

    @property
    def entry(self) -> tk.Text:
        """Where texts are written."""
        return self.composer.entry

    @property
    def send_button(self) -> ttk.Button:
        """The button that sends."""
        return self.composer.send_button

    @property
    def reason(self) -> ttk.Label:
        """The sentence about where the talk stands."""
        return self.composer.reason

    def _make_header(self) -> None:
        dp, theme = self._theme.dp, self._theme
        header = self._header = Flow(self, dp(10))
        header.pack(fill="x", padx=dp(16), pady=dp(10))
        self._face = tk.Canvas(
            header, width=dp(40), height=dp(40), background=theme.colours.background, highlightthickness=0
        )
        names = self._names = ttk.Frame(header)
        names.bind("<Configure>", lambda _: self._show_names(self._talk))
        self._name_label = ttk.Label(names, style="Heading.TLabel")
        self._name_label.pack(fill="x")
        self._brief = ttk.Label(names, style="Muted.TLabel")
        self._brief.pack(fill="x")
        self.ask_button = ttk.Button(header, style="Accent.TButton", command=self._ask)
        self.decline_button = ttk.Button(header, text=_("Decline"), command=self._decline)
        self.end_button = ttk.Button(header, style="Danger.TButton", command=self._end)
        self.more_button = ttk.Button(
            header, text="⋯", width=2, style="Quiet.TButton", command=self.open_talk_menu
        )
        self.talk_menu = new_menu(self, theme)
        self.timer_menu = new_menu(self.talk_menu, theme)  # elsewhere the mouse would not reach it

    # -- what is shown ------------------------------------------------------------------------------

    def show(self, talk: Talk) -> None:
        """Show another talk; what was being written in the last one is kept."""
        self.keep_draft()
        self._talk = talk
        self._wanted_entry = b""
        self.close_find()
        self.composer.drop_file()
        self.composer.text = talk.draft
        self._face.delete("all")
        middle = self._theme.dp(20)
        self._theme.draw_avatar(self._face, number_of(talk), talk.title, (middle, middle), 40)
        self.log.show(talk)
        self.refresh()
        self.entry.focus_set()

    def show_kept_draft(self) -> None:
        """Show what was written in an earlier session, unless something is being written already."""
        if not self.composer.text:
            self.composer.text = self._talk.draft

    def keep_draft(self) -> None:
        """Keep what is being written with its talk."""
        if self._talk.peer:
            self._talk.draft = self.composer.text

    def refresh(self) -> None:
        """Take in what has changed."""
        talk, model = self._talk, self._model
        if model.round is not None:
            self.log.bubbles.round_seconds = self.composer.round_seconds = model.round.round_seconds
        reason = why_not(model, talk)
        self.composer.show(reason or about(model, talk), blocked=bool(reason), files=not talk.is_group)
        self._show_buttons(talk)
        self._show_names(talk)
        self.log.refresh()
        if self._wanted_entry and self.log.jump_to(self._wanted_entry):
            self._wanted_entry = b""

    def _show_names(self, talk: Talk) -> None:
        theme, room = self._theme, self._theme.dp(420)
        if self._names.winfo_width() > 1:
            room = min(room, self._names.winfo_width())
        marks = "".join([" ✓"] * talk.verified + [" ◷"] * bool(talk.timer))
        title = theme.fit(talk.title, room - theme.heading.measure(marks), theme.heading)
        self._name_label.configure(text=theme.visual(title) + marks)
        where = theme.fit(brief(self._model, talk), room, theme.small) or _("not in a conversation")
        self._brief.configure(text=theme.visual(where))

    def _show_buttons(self, talk: Talk) -> None:
        if talk.is_group:
            invited = talk.group is GroupState.INVITED
            wanted = {self.ask_button: invited, self.decline_button: invited, self.end_button: False}
            self.ask_button.configure(text=_("Join"))
        else:
            idle = talk.state in {PeerState.IDLE, PeerState.ENDED}
            asks = idle and talk.asks
            wanted = {
                self.ask_button: idle,
                self.decline_button: asks,
                self.end_button: talk.may_end,
            }
            self.ask_button.configure(text=_("Accept") if talk.asks else _("Ask to talk"))
            waits = talk.state in {PeerState.ASKING, PeerState.WAITING}
            self.end_button.configure(text=_("Stop asking") if waits else _("End conversation"))
        ended = self._model.connection is ConnectionState.CLOSED
        for button in wanted:
            button.state(["disabled" if ended else "!disabled"])
        buttons = [button for button, is_wanted in wanted.items() if is_wanted]
        names, least = self._names, self._theme.dp(150)
        self._header.show(self._face, names, *buttons, self.more_button, growing=names, least=least)

    # -- asking and ending --------------------------------------------------------------------------

    def _ask(self) -> None:
        if self._talk.is_group:
            self._actions.join_group(self._talk.peer)
        else:
            self._actions.ask(self._talk.peer)

    def _decline(self) -> None:
        if self._talk.is_group:
            self._end_writing(self._talk.peer, self._actions.leave_group)
        else:
            self._actions.decline(self._talk.peer)

    def _end(self) -> None:
        self.end(self._talk)

    def end(self, talk: Talk) -> None:
        """End a conversation; ask first if a file is on its way in it."""
        if not talk.has_transfer:
            self._actions.hang_up(talk.peer)
            return
        words = _("A file is still on its way. It stops until you two talk again.")
        Question(
            self, self._theme, words, [(_("End conversation"), lambda: self._actions.hang_up(talk.peer))]
        )

    # -- writing ------------------------------------------------------------------------------------

    def send_written(self) -> None:
        """Send what is written, if that can be now; otherwise it stays."""
        self.composer.send_written()

    def _send(self, text: str) -> bool:
        if why_not(self._model, self._talk):
            return False
        self._actions.send(self._talk.peer, text)
        self._talk.draft = ""
        self.log.go_to_end()
        return True

    def _room_for(self, text: str) -> int:
        return self._talk.room_for(text)

    def take_back(self, peer: str, text: str) -> None:
        """Put a text that could not be sent back where it was written."""
        self.keep_draft()
        talk = self._model.talk(peer)
        talk.take_back(text)
        if talk is self._talk:
            self.composer.text = talk.draft

    def _send_file(self, file: FileToSend) -> None:
        if isinstance(file, Path):
            self._actions.send_file(self._talk.peer, file)
        else:
            self._actions.send_pasted(self._talk.peer, *file)

    # -- finding ------------------------------------------------------------------------------------

    def find(self) -> None:
        """Look for words in this talk."""
        self.finder.pack(fill="x", before=self.log)
        self.finder.entry.focus_set()
        self.finder.entry.selection_range(0, "end")

    def close_find(self) -> None:
        """Go back to writing."""
        if self.finder.winfo_manager():
            self.finder.pack_forget()
            self.entry.focus_set()

    def _search(self, words: str) -> None:
        self._actions.search(self._talk.peer, words)

    def show_found(self, entries: list[LogEntry]) -> None:
        """Show what a search in this talk came to."""
        self.finder.show_found(entries)

    def _go_to(self, entry: LogEntry) -> None:
        self.jump_to(entry.item_id)

    def jump_to(self, item_id: bytes) -> None:
        """Show one entry, as soon as it has been read from the store."""
        if not self.log.jump_to(item_id):
            self._wanted_entry = item_id
            self._actions.read_back_to(self._talk.peer, self._talk.first_id, item_id)

    def _read_older(self, peer: str) -> None:
        talk = self._model.talk(peer)
        if talk.has_more and talk.first_id:
            self._actions.read(peer, talk.first_id)

    # -- menus --------------------------------------------------------------------------------------

    def open_talk_menu(self) -> None:
        """Show what can be done with this talk."""
        talk, menu, timers, actions = self._talk, self.talk_menu, self.timer_menu, self._actions
        menu.delete(0, "end")
        timers.delete(0, "end")
        menu.add_command(label=_("Find in this talk"), accelerator=key_name("Ctrl+F"), command=self.find)
        if not talk.is_group:
            self._entry(menu, _("Safety number …"), lambda: self.show_safety(talk.peer))
        for seconds, words in TIMERS:
            mark = "●" if seconds == talk.timer else "  "
            self._entry(timers, f"{mark} {_(words)}", partial(actions.set_timer, talk.peer, seconds))
        menu.add_cascade(label=_("Disappearing messages"), menu=timers)
        menu.add_separator()
        self._entry(menu, _("Export …"), self._export)
        self._entry(menu, _("Delete history here …"), self._confirm_clear)
        if talk.is_group:
            self._entry(menu, _("Members …"), self.show_members)
        if talk.is_group and talk.group is GroupState.JOINED:
            self._entry(menu, _("Leave the group …"), self._confirm_leave)
        menu.tk_popup(self.more_button.winfo_rootx(), self.more_button.winfo_rooty() + self._theme.dp(32))

    def _open_row_menu(self, row: Row, x: int, y: int) -> None:
        menu = self.row_menu
        menu.delete(0, "end")
        for link in self.log.links_of(row):
            self._entry(menu, self.log.bubbles.link_words(link), partial(self.warn_of_link, link))
        self._entry(menu, _("Copy text"), self.log.copy_chosen)
        if row.file is not None:
            self._add_file_entries(menu, row)
        self._entry(menu, _("Details …"), lambda: self.show_details(row))
        self._entry(menu, _("Delete here …"), lambda: self._confirm_delete(row))
        menu.tk_popup(x, y)

    def _add_file_entries(self, menu: tk.Menu, row: Row) -> None:
        file = row.file
        assert file is not None  # noqa: S101  # the caller looked
        moving = row.transfer in {TransferState.MOVING, TransferState.PAUSED}
        if row.outgoing or row.transfer is TransferState.DONE:
            self._entry(menu, _("Save as …"), lambda: self.save(row))
        if moving and row.outgoing:
            words = _("Go on sending") if row.transfer is TransferState.PAUSED else _("Pause")
            self._entry(menu, words, lambda: self._actions.pause(file.file_id))
        if moving:
            self._entry(menu, _("Stop this file"), lambda: self._actions.cancel(file.file_id))

    @staticmethod
    def _entry(menu: tk.Menu, label: str, command: Callable[[], None]) -> None:
        menu.add_command(label=label, command=command)

    def save(self, row: Row) -> None:
        """Ask where to put a file that is here, and put it there."""
        if row.file is not None:
            name = safe_name(self._theme.drawable(row.file.name))
            chosen = filedialog.asksaveasfilename(parent=self, initialfile=name)
            if chosen:
                self._actions.save(row.file.file_id, Path(chosen))

    def _export(self) -> None:
        chosen = filedialog.asksaveasfilename(parent=self, initialfile="iirs.txt", defaultextension=".txt")
        if chosen:
            self._actions.export(self._talk.peer, Path(chosen))

    def show_members(self) -> None:
        """Say who is in the group, and who of them takes part."""
        talk = self._talk
        lines = [f"{'✓' if name in talk.joined else '…'}  {name}" for name in talk.members]
        words = _("Members of this group; ✓ have joined, the others have been asked:")
        Question(self, self._theme, words, [], detail="\n".join(lines))

    def _confirm_delete(self, row: Row) -> None:
        peer = self._talk.peer
        words = _("Delete this here? The others keep what they have.")
        Question(self, self._theme, words, [(_("Delete"), lambda: self._actions.delete(peer, row.text_id))])

    def show_details(self, row: Row) -> None:
        """Say who wrote an entry, when, how far it is, and how long it stays."""
        author = self._model.me if row.outgoing else row.author or self._talk.peer
        at = f"{day_of(row.at_ms) or '-'} {clock_time(row.at_ms)}"
        words = _("From {author}, written {when}.").format(author=author, when=at)
        Question(self, self._theme, words, [], detail=note_of(row))

    def _confirm_clear(self) -> None:
        words = _("Delete all that is kept of this talk on this machine? The others keep what they have.")
        clear = partial(self._end_writing, self._talk.peer, self._actions.clear)
        Question(self, self._theme, words, [(_("Delete"), clear)])

    def _end_writing(self, peer: str, act: Callable[[str], None]) -> None:
        """Drop what is being written in a talk, and do what leaves no place for it."""
        talk = self._model.talk(peer)
        talk.draft = ""
        if talk is self._talk:
            self.composer.text = ""
        act(peer)

    def _confirm_leave(self) -> None:
        words = _("Leave this group? Its members are told, and you cannot come back by yourself.")
        leave = partial(self._end_writing, self._talk.peer, self._actions.leave_group)
        Question(self, self._theme, words, [(_("Leave"), leave)])

    def warn_of_link(self, link: str) -> None:
        """Say what opening a link means before anything is opened."""
        address = whole_link(link)
        words = _(
            "This site opens in your browser, outside iirs: it sees your address, and that somebody gave you "
            "this link. The whole address is:"
        )
        if len(address) > ADDRESS_SHOWN:
            words = _(
                "This site opens in your browser, outside iirs: it sees your address, and that somebody gave "
                "you this link. The whole address has {count} characters; copying takes all of it:"
            ).format(count=len(address))
        answers = [(_("Open"), lambda: _open(address)), (_("Copy"), lambda: self._copy(address))]
        shown = cut_middle(address, ADDRESS_SHOWN)
        Question(self, self._theme, words, answers, detail=shown, head=host_of(link))

    def _copy(self, text: str) -> None:
        self.clipboard_clear()
        self.clipboard_append(text)


def _open(address: str) -> None:
    webbrowser.open(address)
