"""Uniform permutations: a hop's shuffle, and the order of a client's slots."""

from __future__ import annotations

from iirs.geometry import RandomBytes, pieces

_TICKET_SIZE = 16


def random_permutation(count: int, random_bytes: RandomBytes) -> list[int]:
    """Return a uniform permutation of ``range(count)``.

    Everything draws a random ticket of 16 bytes and is put in their order; should two be alike, all draw
    again, so every order is equally likely.
    """
    while True:
        drawn = random_bytes(_TICKET_SIZE * count)
        tickets = pieces(drawn, _TICKET_SIZE)
        if len(set(tickets)) == count:
            return sorted(range(count), key=tickets.__getitem__)
