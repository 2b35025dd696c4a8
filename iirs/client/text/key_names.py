"""What stands on the keys of a keyboard: in some languages something else."""

from __future__ import annotations

import re

from iirs.client.text.translate import N_, _

KEY_NAMES = (N_("Ctrl"), N_("Alt"), N_("Shift"), N_("Enter"), N_("Tab"), N_("Esc"))


def key_name(shown: str, *, command: bool = False) -> str:
    """Return how keys are called in the window's language; with ``command`` that is in Ctrl's place."""
    shown = shown.replace("Ctrl", "Cmd") if command else shown
    return re.sub("[A-Z][a-z]+", lambda name: _(name.group()), shown)
