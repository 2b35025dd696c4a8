"""The server's store of prekeys: the newest of each account, and which of them are still to be announced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain as chained
from typing import Protocol

from iirs.chain import Chain
from iirs.directory import Entry
from iirs.errors import ConfigError, DirectoryError, PeerError
from iirs.geometry import PREKEY_INCREMENT_MAX
from iirs.prekey import Prekey, is_current
from iirs.server.accounts.rate_limit import RateLimit
from iirs.wire.limits import MAX_ENTRIES

_RENEWALS_AT_ONCE = 10
_ROUNDS_A_RENEWAL = 30


class PrekeyDatabase(Protocol):
    """Where prekeys are kept; ``keep_prekeys`` is called by the rounds' thread and must not wait."""

    def prekeys(self) -> list[bytes]:
        """Return the kept prekey of every account that has one."""
        ...

    def keep_prekeys(self, records: Mapping[int, bytes], forgotten: Iterable[int] = ()) -> None:
        """Keep prekeys, each in place of the former one of the account at its position; forget others."""
        ...


_BLOCK = 128
_Block = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ShownPrekeys:
    """Records as they were when it was asked for, in the order of their people.

    It shares blocks of them with the store and with others: what it holds alone is a small fraction.
    """

    blocks: tuple[_Block, ...]

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self.blocks))

    def __iter__(self) -> Iterator[bytes]:
        """Give one after the other."""
        return chained.from_iterable(self.blocks)


class PrekeyStore:
    """Everybody's newest prekey. Safe from any thread; one lock, not held while a signature is checked."""

    def __init__(self, chain: Chain, storage: PrekeyDatabase, entry: Callable[[int], Entry]) -> None:
        """Load what is kept; ``entry`` gives an account's entry by its position.

        Raises ``ConfigError`` if the database is damaged.
        """
        self._chain = chain
        self._storage = storage
        self._entry = entry
        self._lock = threading.Lock()
        self._newest: dict[int, Prekey] = {}
        self._records: dict[int, bytes] = {}
        self._blocks: dict[int, _Block] = {}
        """What is in ``_records``, by position // ``_BLOCK``; never changed, but replaced."""
        self._to_announce: dict[int, None] = {}
        self._to_store: set[int] = set()
        self._period = -1
        self._round = 0
        # Each costs everybody its bytes and a signature check. A machine has one a period, and says it again.
        often = 1 / max(1, min(_ROUNDS_A_RENEWAL, chain.prekey_rounds // 2))
        self._renewals = RateLimit(_RENEWALS_AT_ONCE, often, lambda: self._round, MAX_ENTRIES)
        try:
            for raw in storage.prekeys():
                prekey = Prekey.decode(raw)
                prekey.verify(chain.chain_id, entry(prekey.position))
                self._keep(prekey)
        except (DirectoryError, IndexError) as error:
            raise ConfigError(
                "The database is damaged or another chain's: check --database-url and --data-dir."
            ) from error

    def take(self, prekey: Prekey, round_number: int) -> None:
        """Keep a client's prekey if it is newer than, or differs from, the one before.

        One of a period that is over has come too late and is thrown away, and so is one of too many from one
        account: ten at once, and one in 30 rounds after. Raises ``PeerError`` if its owner
        did not sign it, or if it is of a period that has not begun.
        """
        now = self._chain.period(round_number)
        if prekey.period > now:
            raise PeerError("A client sent a prekey of a period that has not begun.")
        try:
            prekey.verify(self._chain.chain_id, self._entry(prekey.position))
        except DirectoryError as error:
            raise PeerError("A client sent a prekey that it did not sign.") from error
        with self._lock:
            known = self._newest.get(prekey.position)
            is_old = known is not None and prekey.period < known.period
            is_same = known is not None and (prekey.period, prekey.public) == (known.period, known.public)
            if not is_current(prekey.period, now) or is_old or is_same:
                return
            self._round = round_number
            if not self._renewals.allow(str(prekey.position)):
                return
            self._keep(prekey)
            self._to_announce[prekey.position] = None
            self._to_store.add(prekey.position)

    def _keep(self, prekey: Prekey) -> None:
        self._newest[prekey.position] = prekey
        self._records[prekey.position] = prekey.encode()
        self._blocks.pop(prekey.position // _BLOCK, None)

    def known(self, length: int, round_number: int) -> ShownPrekeys:
        """Return the prekeys that can be used now, of the first ``length`` people in the directory."""
        now = self._chain.period(round_number)
        with self._lock:
            blocks: list[_Block] = []
            for number in range(-(-length // _BLOCK)):
                is_whole = now == self._period and (number + 1) * _BLOCK <= length
                blocks.append(self._block(number) if is_whole else self._part(number, length, now))
        return ShownPrekeys(tuple(filter(None, blocks)))

    def _block(self, number: int) -> _Block:
        if number not in self._blocks:
            places = range(number * _BLOCK, (number + 1) * _BLOCK)
            self._blocks[number] = tuple(self._records[place] for place in places if place in self._records)
        return self._blocks[number]

    def _part(self, number: int, length: int, now: int) -> _Block:
        """Return what of a block may be shown: what is old is forgotten with the next announcement only."""
        places = range(number * _BLOCK, min((number + 1) * _BLOCK, length))
        return tuple(
            self._records[place]
            for place in places
            if place in self._records and is_current(self._newest[place].period, now)
        )

    def announce(self, length: int, round_number: int) -> tuple[bytes, ...]:
        """Return the next prekeys to announce, as many as an announcement holds, each person's newest.

        Whoever is not among the first ``length`` people waits. What has come is stored, and what nobody
        may use any more forgotten; once a round, so that a thousand renewals are one write to the disk.
        """
        with self._lock:
            over = self._forget(self._chain.period(round_number))
            fresh = {position: self._records[position] for position in self._to_store}
            self._to_store.clear()
            chosen = [position for position in self._to_announce if position < length][:PREKEY_INCREMENT_MAX]
            for position in chosen:
                del self._to_announce[position]
            announced = tuple(self._records[position] for position in chosen)
        if fresh or over:
            self._storage.keep_prekeys(fresh, over)
        return announced

    def _forget(self, now: int) -> list[int]:
        if now == self._period:
            return []
        self._period = now
        over = [position for position, item in self._newest.items() if not is_current(item.period, now)]
        for position in over:
            del self._newest[position], self._records[position]
            self._blocks.pop(position // _BLOCK, None)
            self._to_announce.pop(position, None)
            self._to_store.discard(position)
        return over
