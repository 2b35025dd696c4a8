"""``StatusBar``: the connection, the newest notice, the round's countdown, and how the last rounds went."""

from __future__ import annotations

import time
import tkinter as tk
from tkinter import ttk

from iirs.client.events import ConnectionState
from iirs.client.model.chat_model import ChatModel, Round
from iirs.client.model.privacy_sentences import explained, hidden_among
from iirs.client.model.round_health import HealthLevel, RoundHealth
from iirs.client.text.translate import N_, _
from iirs.client.window.parts.flow import Flow, wrapping
from iirs.client.window.parts.question import Question
from iirs.client.window.theme.theme import Theme

_NOTICE_SECONDS = 8.0
_COUNTDOWN = 24
"""Characters that the longest words about the round take."""


class StatusBar(ttk.Frame):
    """Two lines at the bottom; ``show`` some times a second."""

    def __init__(self, parent: tk.Misc, theme: Theme) -> None:
        super().__init__(parent, style="Side.TFrame")
        dp = theme.dp
        self._theme = theme
        colours = theme.colours
        self._dots = {
            ConnectionState.CONNECTING: colours.warn,
            ConnectionState.ONLINE: colours.good,
            ConnectionState.WAITING: colours.bad,
            ConnectionState.CLOSED: colours.muted,
        }
        self._notice_until = 0.0
        ttk.Frame(self, style="Line.TFrame", height=1).pack(fill="x")
        line = Flow(self, dp(8), "Side.TFrame")
        line.pack(fill="x", padx=dp(14), pady=(dp(5), dp(1)))
        self._dot = ttk.Label(line, style="SideMuted.TLabel")
        self._bar = tk.Canvas(
            line, width=dp(110), height=dp(6), background=self._theme.colours.side, highlightthickness=0
        )
        # Wide enough for all it ever says: a line that is laid out anew with each tick would dance.
        self.countdown = ttk.Label(line, style="SideMuted.TLabel", anchor="e", width=-_COUNTDOWN)
        self.text = wrapping(ttk.Label(line, style="SideMuted.TLabel"))
        line.show(self._dot, self.text, self.countdown, self._bar, growing=self.text, least=dp(150))
        self.health = HealthLine(self, theme)
        self.health.pack(fill="x")
        self.privacy = ttk.Button(self, style="Link.SideQuiet.TButton", cursor="hand2", command=self._explain)
        self._servers = 1
        self._shown: tuple[object, ...] = ()

    def _explain(self) -> None:
        """Say what the privacy words mean."""
        Question(self, self._theme, explained(self._servers), [])

    def _show_privacy(self, model: ChatModel) -> None:
        self._servers = model.servers
        words = hidden_among(model) if model.connection is ConnectionState.ONLINE else ""
        if words != self.privacy.cget("text"):
            self.privacy.configure(text=words)
        if words and not self.privacy.winfo_manager():
            self.privacy.pack(anchor="w", padx=(self._theme.dp(25), 0), before=self.health)
        elif not words and self.privacy.winfo_manager():
            self.privacy.pack_forget()

    def say(self, sentence: str) -> None:
        """Show a notice for some seconds, in place of the connection's state."""
        self.text.configure(text=sentence, foreground=self._theme.colours.ink)
        self._notice_until = time.monotonic() + _NOTICE_SECONDS

    def show(self, model: ChatModel) -> None:
        """Show how things stand now."""
        self._dot.configure(
            image=self._theme.disc(
                9, self._theme.colours.warn if model.standby else self._dots[model.connection]
            )
        )
        if time.monotonic() >= self._notice_until:
            self.text.configure(text=_connection_words(model), foreground=self._theme.colours.muted)
        self._show_privacy(model)
        self.health.show(model.health)
        words, share = (_("rounds pause"), 0.0) if model.standby else _round_words(model.round)
        shown = (words, round(share * 110))
        if shown != self._shown:
            self._shown = shown
            self.countdown.configure(text=words)
            self._draw(share)

    def _draw(self, share: float) -> None:
        dp, theme = self._theme.dp, self._theme
        self._bar.delete("all")
        theme.box(self._bar, (0, 0, dp(110), dp(6)), 3, self._theme.colours.line)
        width = max(dp(6), round(dp(110) * share))
        if share > 0:
            theme.box(self._bar, (0, 0, width, dp(6)), 3, self._theme.colours.accent)


class HealthLine(ttk.Frame):
    """How many of the last rounds were tampered with or lost; harder to overlook the more there are."""

    def __init__(self, parent: tk.Misc, theme: Theme) -> None:
        super().__init__(
            parent, style="Side.TFrame", padding=(theme.dp(14), theme.dp(2), theme.dp(14), theme.dp(5))
        )
        self._theme = theme
        self._shown: RoundHealth | None = None
        self.text = ttk.Label(self, style="SideMuted.TLabel")
        wrapping(self.text).pack(side="left", fill="x", expand=True)

    def show(self, health: RoundHealth) -> None:
        """Show the count, and once it is serious what it means."""
        if health == self._shown:
            return
        self._shown = health
        colours = self._theme.colours
        ink, ground = {
            HealthLevel.GOOD: (colours.muted, colours.side),
            HealthLevel.TROUBLED: (colours.warn, colours.side),
            HealthLevel.SERIOUS: (colours.bad, colours.bad_pale),
        }[health.level]
        serious = health.level is HealthLevel.SERIOUS
        self.configure(style="Bad.TFrame" if serious else "Side.TFrame")
        words = f"{health.sentence}. {health.meaning}" if serious else health.sentence
        font = self._theme.small_bold if serious else self._theme.small
        self.text.configure(text=words, foreground=ink, background=ground, font=font)


_PAUSED = N_("Connected · a server of the chain is not answering")


def _connection_words(model: ChatModel) -> str:
    match model.connection:
        case ConnectionState.CONNECTING:
            return _("Connecting to the server …")
        case ConnectionState.ONLINE:
            return _(_PAUSED) if model.standby else _online_words(model.round)
        case ConnectionState.WAITING:
            return _("No connection, trying again.") + " " + model.sentence
    return model.sentence or _("Logged out")


def _online_words(current: Round | None) -> str:
    if current is None:
        return _("Connected · waiting for the next round")
    if current.closed and not current.clean:
        return _("Connected · the last round did not arrive intact; what is missing is sent again")
    return _("Connected")


def _round_words(current: Round | None) -> tuple[str, float]:
    """Return the countdown's words, and the share of the round that is left."""
    if current is None:
        return _("no round yet"), 0.0
    left = current.closes_at - time.monotonic()
    if current.closed or left <= 0:
        return _("next round soon") if current.closed else _("the round is being mixed"), 0.0
    return _("round closes in {left} s").format(left=f"{left:.1f}"), min(
        1.0, left / max(current.seconds, 0.001)
    )
