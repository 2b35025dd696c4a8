"""``Composer``: what is being written, and the file that is about to be sent."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from tkinter import filedialog, ttk

from iirs.client.chat_session import FILE_MAX
from iirs.client.messenger.file_transfer import safe_name, seconds_for
from iirs.client.store.whole_files import is_ordinary
from iirs.client.text.text_layout import duration, size_words
from iirs.client.text.translate import _, n_
from iirs.client.window.parts.flow import Flow, wrapping
from iirs.client.window.parts.pasting import is_text, pasted_picture
from iirs.client.window.theme.theme import Theme, window_keys_first

_TALLEST = 6
_NEARLY_FULL = 16 * 1024
"""So many bytes before the end it is said how many are left."""


FileToSend = Path | tuple[str, bytes]
"""A file of the person's, or the name and content of what was pasted."""


class Composer(ttk.Frame):
    """``send`` gets a text and returns whether it was taken; ``send_file`` gets a file.

    ``room_for`` says how many bytes more a text could have: one that is too long stays in the field.
    """

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        send: Callable[[str], bool],
        send_file: Callable[[FileToSend], None],
        room_for: Callable[[str], int],
    ) -> None:
        dp = theme.dp
        super().__init__(parent, padding=(dp(16), dp(6), dp(16), dp(12)))
        self._theme = theme
        self._send = send
        self._send_file = send_file
        self._room_for = room_for
        self._room = 0
        self._sentence = ""
        self._file: FileToSend | None = None
        self.round_seconds = 2.0
        self._blocked = False
        self._complaint = ""
        self._make_strip()
        self.reason = wrapping(ttk.Label(self, style="Muted.TLabel", font=theme.small))
        self.reason.pack(fill="x", padx=(dp(14), 0), pady=(0, dp(6)))
        self._make_field()

    def _make_strip(self) -> None:
        dp = self._theme.dp
        self.strip = ttk.Frame(self, style="Warn.TFrame", padding=(dp(12), dp(6)))
        row = self._strip_row = Flow(self.strip, dp(8), "Warn.TFrame")
        row.pack(fill="x")
        self.strip_text = wrapping(ttk.Label(row, style="Warn.TLabel", font=self._theme.small))
        self.strip_send = ttk.Button(
            row, text=_("Send file"), style="Warn.Accent.TButton", command=self._confirm_file
        )
        self.strip_cancel = ttk.Button(row, text=_("Cancel"), style="Warn.TButton", command=self.drop_file)
        for button in (self.strip_send, self.strip_cancel):
            button.bind("<Escape>", lambda _: self.drop_file())

    def _make_field(self) -> None:
        dp, theme = self._theme.dp, self._theme
        self.clip_button = ttk.Button(
            self, text=_("File"), style="Quiet.TButton", command=self.choose_file, width=-4
        )
        self._clip_place = {"side": "left", "anchor": "s", "padx": (0, dp(6))}
        field = self._field = ttk.Frame(self, style="Composer.TFrame", padding=(dp(14), dp(8)))
        self.send_button = ttk.Button(self, text=_("Send"), style="Accent.TButton", command=self.send_written)
        self.send_button.pack(side="right", anchor="s", padx=(dp(10), 0))
        field.pack(side="left", fill="both", expand=True)
        self.clip_button.pack(self._clip_place, before=field)
        self.entry = tk.Text(
            field,
            height=1,
            width=1,
            wrap="word",
            undo=True,
            font=theme.text,
            background=theme.colours.field,
            foreground=theme.colours.ink,
            insertbackground=theme.colours.accent,
            selectbackground=theme.colours.accent,
            selectforeground=theme.colours.on_accent,
            relief="flat",
            borderwidth=0,
            highlightthickness=0,
        )
        self.entry.pack(fill="both", expand=True)
        window_keys_first(self.entry)
        self.entry.bind("<<Paste>>", lambda _: self._paste(), add=True)
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
        self.entry.bind("<Configure>", lambda _: self._fit_height())  # lines break where there is room
        self.entry.bind("<<Modified>>", lambda _: self._take_change())

    # -- what is shown ------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """What is written."""
        return self.entry.get("1.0", "end-1c")

    @text.setter
    def text(self, value: str) -> None:
        self.entry.delete("1.0", "end")
        self.entry.insert("1.0", value)
        self._measure()

    def show(self, sentence: str, *, blocked: bool, files: bool) -> None:
        """Show a sentence about where the talk stands; ``blocked``: nothing can be sent; ``files`` can."""
        self._blocked = blocked
        self.send_button.state(["disabled" if blocked else "!disabled"])
        self.clip_button.state(["disabled" if blocked or not files else "!disabled"])
        if not files:
            self.clip_button.pack_forget()
        elif not self.clip_button.winfo_manager():
            self.clip_button.pack(self._clip_place, before=self._field)
        if sentence != self._sentence:
            self._sentence, self._complaint = sentence, ""
        self._show_sentence()

    def _measure(self) -> None:
        self._room = self._room_for(self.text)
        self._show_sentence()

    def _show_sentence(self) -> None:
        sentence, room = self._sentence, self._room
        if room < 0:
            sentence = n_(
                "This text is {count} byte too long. It stays here: shorten it, or send it in parts.",
                "This text is {count} bytes too long. It stays here: shorten it, or send it in parts.",
                -room,
            ).format(count=-room)
        elif room < _NEARLY_FULL:
            sentence = n_("{left} byte left for this text.", "{left} bytes left for this text.", room).format(
                left=room
            )
        is_wrong = room < 0 or bool(self._complaint)
        self.reason.configure(
            text=self._complaint or sentence, style="Error.TLabel" if is_wrong else "Muted.TLabel"
        )

    # -- writing ------------------------------------------------------------------------------------

    def send_written(self) -> None:
        """Send what is written, if that can be now; otherwise it stays."""
        self._measure()
        text = self.text
        if not text.strip():
            self._complain(_("Nothing is written yet."))
        elif self._room >= 0 and not self._blocked and self._send(text):
            self.text = ""
        elif self._room >= 0:
            self._complain(_("Not sent. {why}").format(why=self._sentence))

    def _complain(self, sentence: str) -> None:
        """Say why Enter did nothing, until something is written or stands otherwise."""
        self._complaint = sentence
        self._show_sentence()

    # -- a file -------------------------------------------------------------------------------------

    def choose_file(self) -> None:
        """Let the person choose a file, and say what sending it means."""
        chosen = filedialog.askopenfilename(parent=self, title=_("Send a file"))
        if chosen:
            self.offer_file(Path(chosen))

    def offer_file(self, path: Path) -> None:
        """Say how long a file will take, before it is sent; or why it cannot be."""
        size = path.stat().st_size if is_ordinary(path) else -1
        self._offer(path, path.name, size)

    def _paste(self) -> str | None:
        """Offer to send a picture that was pasted; text is written by Tk."""
        if is_text(self.entry):
            return None
        pasted = pasted_picture(self.entry)
        if self.clip_button.instate(["disabled"]):
            pasted = _("What you have copied is no text, and no file can be sent here now.")
        if isinstance(pasted, str):
            self._file = None
            self._show_strip(pasted)
        else:
            name = _("picture.png")
            self._offer((name, pasted), name, len(pasted))
        return "break"

    def _offer(self, file: FileToSend, name: str, size: int) -> None:
        self._file = file if 0 < size <= FILE_MAX else None
        if size < 0:
            words = _("This file cannot be read.")
        elif size == 0:
            words = _("This file is empty.")
        elif size > FILE_MAX:
            words = _("This file has {size}; at most {limit} can be sent, as more would take hours.").format(
                size=size_words(size), limit=size_words(FILE_MAX)
            )
        else:
            words = _(
                "{name}, {size}: about {time}, while messages go first. Of a picture (JPEG, PNG, GIF, WebP) "
                "where and when it was taken is left out; all else goes as it is."
            ).format(
                name=self._theme.drawable(safe_name(name)),
                size=size_words(size),
                time=duration(seconds_for(size, self.round_seconds)),
            )
        self._show_strip(words)

    def _show_strip(self, words: str) -> None:
        self.strip_text.configure(text=words)
        send = () if self._file is None else (self.strip_send,)
        text, least = self.strip_text, self._theme.dp(200)
        self._strip_row.show(text, *send, self.strip_cancel, growing=text, least=least)
        self.strip.pack(fill="x", pady=(0, self._theme.dp(6)), before=self.reason)
        if send:
            self.strip_send.focus_set()

    def drop_file(self) -> None:
        """Send no file after all."""
        self._file = None
        self.strip.pack_forget()
        self.entry.focus_set()

    def _confirm_file(self) -> None:
        file = self._file
        if file is not None and not self._blocked:
            self.drop_file()
            self._send_file(file)

    # -- keys ---------------------------------------------------------------------------------------

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
        colours = self._theme.colours
        self.entry.configure(background=colours.background if focused else colours.field)

    def _take_change(self) -> None:
        if not self.entry.edit_modified():
            return
        self.entry.edit_modified(False)
        self._complaint = ""
        self._measure()
        self._fit_height()

    def _fit_height(self) -> None:
        count = self.entry.count("1.0", "end", "displaylines")
        lines = count[0] if isinstance(count, tuple) else (count or 1)
        self.entry.configure(height=min(_TALLEST, max(1, int(lines))))
