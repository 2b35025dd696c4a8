"""Colours of the windows, light and dark, as values: ``#rrggbb`` by what they are for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Palette:
    """One theme's colours: ink has a contrast of at least 4.5 to 1 on the grounds it is used on."""

    name: str
    background: str
    side: str
    """The ground of lists and bars beside the main ground."""
    chosen: str
    """The ground of the chosen row of a list."""
    line: str
    ink: str
    muted: str
    faint: str
    """Words of what cannot be used now."""
    accent: str
    accent_dark: str
    accent_pale: str
    on_accent: str
    on_accent_muted: str
    own_bubble: str
    on_own_bubble: str
    on_own_bubble_muted: str
    bubble: str
    field: str
    disabled: str
    good: str
    warn: str
    warn_pale: str
    bad: str
    bad_pale: str
    names: tuple[str, ...]
    """For people's names and pictures."""


LIGHT = Palette(
    name="light",
    background="#ffffff",
    side="#f4f5f8",
    chosen="#dfe3ee",
    line="#e3e5ea",
    ink="#1b1d22",
    muted="#5d6370",
    faint="#7b818e",
    accent="#3556d6",
    accent_dark="#2944ae",
    accent_pale="#e4e9fb",
    on_accent="#ffffff",
    on_accent_muted="#d5ddfa",
    own_bubble="#3556d6",
    on_own_bubble="#ffffff",
    on_own_bubble_muted="#d5ddfa",
    bubble="#eceef2",
    field="#f1f2f5",
    disabled="#c9cdd6",
    good="#1e8a4c",
    warn="#8f5200",
    warn_pale="#fff3dc",
    bad="#b3261e",
    bad_pale="#fdeae8",
    names=("#2f5f9f", "#7d4296", "#a03e34", "#22694f", "#76590f", "#414f98", "#93396b", "#2c6878"),
)

DARK = Palette(
    name="dark",
    background="#17181c",
    side="#1e2026",
    chosen="#333845",
    line="#30333c",
    ink="#e8eaef",
    muted="#a4a9b6",
    faint="#7f8593",
    accent="#8aa2ff",
    accent_dark="#a9bbff",
    accent_pale="#29304d",
    on_accent="#0e1330",
    on_accent_muted="#c9d3fb",
    own_bubble="#3650b8",
    on_own_bubble="#ffffff",
    on_own_bubble_muted="#d5ddfa",
    bubble="#2a2d35",
    field="#262931",
    disabled="#4a4e5a",
    good="#4cc27f",
    warn="#f0b45b",
    warn_pale="#3a2d14",
    bad="#ff8a80",
    bad_pale="#43201e",
    names=("#8db8f0", "#cf9fe3", "#f0a096", "#7fcfae", "#d9bb6a", "#a7b3f5", "#ee9fc9", "#86c5d6"),
)
