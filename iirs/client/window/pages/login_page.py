"""``LoginPage``: register or log in, and see that something is happening."""

from __future__ import annotations

import queue
import threading
import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tkinter import filedialog, ttk

from iirs.chain import ONE_SERVER, JoinLink
from iirs.client.account.password_keys import check_password
from iirs.client.account_tasks import Credentials
from iirs.client.model.privacy_sentences import HIDDEN, SEVERAL_SERVERS
from iirs.client.pictures.decoder import Decoder
from iirs.client.pictures.qr import read_qr
from iirs.client.text.translate import N_, _
from iirs.client.window.parts.flow import Columns, wrapping
from iirs.client.window.parts.scroll_page import ScrollPage
from iirs.client.window.theme.theme import Theme
from iirs.errors import AccountError, IirsError

_KEYS_HINT = N_(
    "Safer: your secret keys are never given to the server, not even encrypted. "
    "But the account then works on this machine only."
)


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in the form, but the password."""

    link: str
    name: str
    new: bool
    """Whether an account is to be created."""
    keys_stay_here: bool


class LoginPage(ScrollPage):
    """Calls ``submit`` with what was typed; afterwards ``wait`` and ``fail`` show what comes of it."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        written: Written,
        submit: Callable[[Credentials], None],
        show_settings: Callable[[], None],
    ) -> None:
        super().__init__(parent, theme, 400)
        self._theme = theme
        self._submit = submit
        self._new = tk.BooleanVar(self, written.new)
        self._keys_stay_here = tk.BooleanVar(self, written.keys_stay_here)
        self._name_written = tk.StringVar(self, written.name)
        self._password = tk.StringVar(self)
        self._link = tk.StringVar(self, written.link)
        self._shown = tk.BooleanVar(self, False)
        self._decoder = Decoder()
        card = self.body
        self.settings_button = ttk.Button(
            card, text="⚙", width=2, style="Quiet.TButton", command=show_settings
        )
        self.settings_button.place(relx=1.0, y=theme.dp(24), anchor="ne")
        self._make_heading(card)
        self._make_fields(card)
        self._make_footer(card)
        self._password.trace_add("write", lambda *_: self._judge())
        self._change_kind()
        self.bind("<Destroy>", lambda _: self._decoder.stop())

    @property
    def written(self) -> Written:
        """What stands in the form now."""
        link, name = self._link.get(), self._name_written.get()
        return Written(link, name, self._new.get(), self._keys_stay_here.get())

    def _make_heading(self, card: ttk.Frame) -> None:
        dp = self._theme.dp
        mark = tk.Canvas(
            card, width=dp(64), height=dp(64), background=self._theme.colours.background, highlightthickness=0
        )
        mark.pack(pady=(0, dp(8)))
        self._theme.box(mark, (0, 0, dp(64), dp(64)), 18, self._theme.colours.accent)
        # Two people, and nothing to be seen between them.
        mark.create_image(dp(22), dp(32), image=self._theme.disc(16, self._theme.colours.on_accent))
        mark.create_image(dp(42), dp(32), image=self._theme.disc(16, self._theme.colours.on_accent_muted))
        ttk.Label(card, text="iirs", style="Title.TLabel").pack()
        about = _("Talk without anyone seeing that you do.")
        motto = wrapping(ttk.Label(card, text=about, style="Muted.TLabel", anchor="center", justify="center"))
        motto.pack(fill="x", pady=(0, dp(18)))
        choice = Columns(card, dp(8))
        choice.pack(fill="x", pady=(0, dp(14)))
        self.kinds: dict[str, ttk.Radiobutton] = {}
        for text, new in ((N_("Log in"), False), (N_("Register"), True)):
            self.kinds[text] = ttk.Radiobutton(
                choice,
                text=_(text),
                value=new,
                variable=self._new,
                style="Segment.Toolbutton",
                command=self._change_kind,
            )
        choice.show(*self.kinds.values())

    def _make_fields(self, card: ttk.Frame) -> None:
        self.link_entry = self._field(_("Join link"), self._link)
        self.qr_button = ttk.Button(
            card,
            text=_("Take it from a picture of its QR code …"),
            style="Quiet.TButton",
            command=self._choose,
        )
        self.qr_button.pack(anchor="e")
        self.name_entry = self._field(_("Your name"), self._name_written)
        self.password_entry = self._field(_("Password"), self._password, secret=True)
        dp = self._theme.dp
        self.strength = wrapping(ttk.Label(card, style="Muted.TLabel"))
        ttk.Checkbutton(
            card, text=_("Show the password"), variable=self._shown, command=self._show_password
        ).pack(anchor="w", pady=(dp(6), 0))
        self._keys = ttk.Frame(card)
        self._keys.pack(fill="x")
        self.keys_check = ttk.Checkbutton(
            self._keys, text=_("Keys stay on this machine only"), variable=self._keys_stay_here
        )
        self._keys_hint = wrapping(
            ttk.Label(self._keys, text=_(_KEYS_HINT), style="Muted.TLabel", padding=(dp(26), 0, 0, 0)), dp(26)
        )

    def _field(self, label: str, variable: tk.StringVar, *, secret: bool = False) -> ttk.Entry:
        entry = self.field(label, secret=secret)
        entry.configure(textvariable=variable)
        entry.bind("<Return>", lambda _: self.submit())
        return entry

    def _choose(self) -> None:
        chosen = filedialog.askopenfilename(parent=self, title=_("A picture with a QR code"))
        if chosen:
            self.take_link_from(Path(chosen))

    def take_link_from(self, path: Path) -> None:
        """Fill in the link that a picture of a QR code holds, or say why not, and give up the last one.

        Reading is a worker's.
        """
        self._decoder.stop()
        decoder = self._decoder = Decoder()
        self.message.configure(text=_("Looking for a QR code in this picture …"), style="Muted.TLabel")
        found: queue.SimpleQueue[str | IirsError] = queue.SimpleQueue()

        def work() -> None:
            try:
                text = read_qr(path, decoder).strip()
                JoinLink.parse(text)
                found.put(text)
            except IirsError as error:
                found.put(error)

        threading.Thread(target=work, name="iirs-qr", daemon=True).start()
        self._await_link(found, decoder)

    def _await_link(self, found: queue.SimpleQueue[str | IirsError], decoder: Decoder) -> None:
        if not self.winfo_exists() or decoder is not self._decoder:
            return
        if found.empty():
            self.after(50, self._await_link, found, decoder)
            return
        result = found.get()
        if isinstance(result, IirsError):
            self.message.configure(text=result.said(_), style="Error.TLabel")
        else:
            self._link.set(result)
            self.message.configure(text="")
            self.focus_first()

    def _make_footer(self, card: ttk.Frame) -> None:
        dp = self._theme.dp
        self.message = wrapping(ttk.Label(card, style="Error.TLabel", font=self._theme.small))
        self.message.pack(fill="x", pady=(dp(8), dp(6)))
        self.mends(self.message, self.link_entry, self.name_entry, self.password_entry)
        self.button = ttk.Button(card, style="Accent.TButton", command=self.submit)
        self.button.pack(fill="x", ipady=dp(3))
        self.progress = ttk.Progressbar(card, mode="indeterminate")
        about = "\n".join(_(sentence) for sentence in (*HIDDEN, ONE_SERVER, SEVERAL_SERVERS))
        self._about = wrapping(ttk.Label(card, text=about, style="Muted.TLabel"))

    def _judge(self) -> None:
        """Say of a new password what is missing, while it is written."""
        sentence = ""
        if self._new.get() and self._password.get():
            try:
                check_password(self._name_written.get().strip() or "\0", self._password.get())
            except AccountError as error:
                sentence = error.said(_)
        self.strength.configure(text=sentence)
        if sentence:
            self.strength.pack(fill="x", pady=(self._theme.dp(4), 0), after=self.password_entry)
        else:
            self.strength.pack_forget()

    # -- what is shown ------------------------------------------------------------------------------

    def focus_first(self) -> None:
        """Put the cursor where something is missing."""
        entries = (self.link_entry, self.name_entry, self.password_entry)
        next((entry for entry in entries if not entry.get()), self.password_entry).focus_set()

    def wait(self) -> None:
        """Show that the login is under way."""
        self.message.configure(
            text=_("Asking the server. That takes a moment, on purpose: so passwords are hard to guess."),
            style="Muted.TLabel",
        )
        self._set_enabled(enabled=False)
        self.progress.pack(fill="x", pady=(self._theme.dp(12), 0))
        self.progress.start(15)

    def fail(self, sentence: str) -> None:
        """Show why it did not work and let the person try again."""
        self.progress.stop()
        self.progress.pack_forget()
        self._set_enabled(enabled=True)
        self.message.configure(text=sentence, style="Error.TLabel")
        self.password_entry.focus_set()
        self.password_entry.selection_range(0, "end")

    def submit(self) -> None:
        """Hand over what was typed, unless something is missing."""
        if self.button.instate(["disabled"]):
            return
        values = (self._link.get().strip(), self._name_written.get().strip(), self._password.get())
        if all(values):
            new = self._new.get()
            self._submit(Credentials(*values, new, new and self._keys_stay_here.get()))
            return
        missing = (_("the join link"), _("your name"), _("your password"))[
            [bool(value) for value in values].index(False)
        ]
        self.message.configure(
            text=_("Please fill in {missing}.").format(missing=missing), style="Error.TLabel"
        )
        self.focus_first()

    def _set_enabled(self, *, enabled: bool) -> None:
        state = "!disabled" if enabled else "disabled"
        for widget in (self.link_entry, self.name_entry, self.password_entry, self.button, self.keys_check):
            widget.state([state])

    def _change_kind(self) -> None:
        new = self._new.get()
        self.button.configure(text=_("Create account") if new else _("Log in"))
        self.message.configure(text="")
        self._judge()
        if new:
            self._about.pack(fill="x", pady=(self._theme.dp(18), 0))
        else:
            self._about.pack_forget()
        for widget in (self.keys_check, self._keys_hint):
            if new:
                widget.pack(fill="x", pady=(self._theme.dp(4), 0))
            else:
                widget.pack_forget()
        if not new:
            self._keys.configure(height=1)

    def _show_password(self) -> None:
        self.password_entry.configure(show="" if self._shown.get() else "•")
