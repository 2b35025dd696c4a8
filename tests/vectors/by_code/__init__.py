"""Every operation of the vectors, as the program answers it; ``tests/reference`` answers apart from it.

Sealing draws randomness that the program cannot be given. Operations that name it are answered by the
reference alone, and a test has each of the two open what the other sealed.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.vectors.by_code import accounts, conversations, groups, layers, links, rounds
from tests.vectors.by_code.common import Values

OPERATIONS: dict[str, Callable[..., Values]] = {
    name: function
    for module in (accounts, conversations, groups, layers, links, rounds)
    for name, function in module.OPERATIONS.items()
}
