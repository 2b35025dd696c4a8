"""Right-to-left text on screens that neither turn nor join it. Apart, as a terminal needs none of this."""

from __future__ import annotations

import re

from arabic_reshaper import ArabicReshaper
from bidi import get_display

_ARABIC = re.compile("[\u0620-\u06ff\u0750-\u077f]")
_RESHAPER = ArabicReshaper(
    {
        "delete_harakat": False,
        "support_zwj": True,
        "use_unshaped_instead_of_isolated": True,
        "support_ligatures": True,  # lam and alef are always one; whole words as one few fonts have
        "ARABIC LIGATURE ALLAH": False,
    }
)


def visual(text: str) -> str:
    """Return a line as it is drawn, for screens that neither turn right-to-left text nor join its letters.

    Only for what is shown: the letters are others than those written.
    """
    if text.isascii():
        return text
    joined = str(_RESHAPER.reshape(text)) if _ARABIC.search(text) else text
    turned = get_display(joined)
    return turned if isinstance(turned, str) else joined
