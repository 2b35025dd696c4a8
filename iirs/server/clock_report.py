"""What a server says of the wall clock: once when it begins, once when it ends. It stops no round."""

from __future__ import annotations

from iirs.server.keystore import CLOCK_FILE

_FAR_SECONDS = 2700.0
"""More than numbers are kept ahead for (``round_numbers``), and less than clients refuse."""
_UNITS = ((365 * 86_400, "year"), (86_400, "day"), (3600, "hour"), (60, "minute"))


class ClockReport:
    """Compares rounds with the clock, both as round numbers. One thread asks."""

    def __init__(self, round_ms: int) -> None:
        self._round_ms = round_ms
        self._is_far = False

    def on_round(self, round_number: int, clock_round: int) -> str:
        """Return what to say if a round is far from the clock, or no longer; "" if it is as before."""
        seconds = (round_number - clock_round) * self._round_ms / 1000
        was_far, self._is_far = self._is_far, abs(seconds) > _FAR_SECONDS
        if self._is_far is was_far:
            return ""
        if was_far:
            return "this machine's clock fits the rounds again"
        way = "behind" if seconds > 0 else "ahead of"
        return (
            f"this machine's clock is {span(abs(seconds))} {way} the rounds, "
            "which go on. Clients whose clocks are as this one refuse them. If it is wrong, set it; if it is "
            f"right, make an empty file {CLOCK_FILE} in the data directory and start the server anew"
        )


def span(seconds: float) -> str:
    """Return a length of time in words: two of a unit at least, where there is a smaller one."""
    counts = [(int(seconds) // length, unit) for length, unit in _UNITS]
    count, unit = next((item for item in counts if item[0] >= 2), counts[-1])
    return f"{count} {unit}" + ("" if count == 1 else "s")
