"""Opening an account's file: one of an earlier form is brought over, one that does not open is set aside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from iirs.client.store.encrypted_file import StoreDamagedError
from iirs.client.store.log_entry import TextState
from iirs.client.store.sealed_rows import SealedRows, StoreKeysError, has_sealed_rows
from iirs.client.store.store import ClientStore
from iirs.errors import StoreError

_BROUGHT = "brought over"
_FRESH = ".converting"


class Reason(Enum):
    """Why a file was put aside; the value stands in its new name."""

    UNREADABLE = "damaged"
    """It is damaged or under other keys; which of the two cannot be told."""
    OTHER_KEYS = "other-keys"
    EARLIER = "earlier"
    """What it held was brought over."""


@dataclass(frozen=True, slots=True)
class PutAside:
    """A file that a new one has taken the place of. It is kept."""

    path: Path
    reason: Reason
    undelivered: int = 0
    """Texts brought over that had not been delivered."""
    left_out: int = 0
    """Texts not brought over: their talk is not known, or they do not open."""


def open_store(path: Path, key: bytes, me: str) -> tuple[ClientStore, PutAside | None]:
    """Open the store of the account named ``me``; return, too, what has become of another file in its place.

    Raises ``StoreError`` if it is in use, is a newer program's, or cannot be moved.
    """
    fresh = path.with_suffix(_FRESH)
    if not path.exists() and fresh.exists():  # it was whole when the file before it was moved away
        _move(fresh, path)
    reason = Reason.UNREADABLE
    try:
        if has_sealed_rows(path):
            _bring_over(path, fresh, key, me)
        return _opened(path, key)
    except StoreKeysError:
        reason = Reason.OTHER_KEYS
    except StoreDamagedError:
        pass
    aside = _aside(path, reason)
    _move(path, aside)
    return ClientStore(path, key), PutAside(aside, reason)


def _opened(path: Path, key: bytes) -> tuple[ClientStore, PutAside | None]:
    store = ClientStore(path, key)
    brought = store.get(_BROUGHT)
    if brought is None:
        return store, None
    store.remove(_BROUGHT)
    store.commit()
    name, undelivered, left_out = brought
    return store, PutAside(path.with_name(name), Reason.EARLIER, undelivered, left_out)


def _bring_over(path: Path, fresh: Path, key: bytes, me: str) -> None:
    """Put a new store in the place of one of the earlier form, with what was said in it.

    The new one is whole before the old one is moved; until then trying again begins anew.
    """
    aside = _aside(path, Reason.EARLIER)
    with closing(SealedRows(path, key, me)) as old:
        _discard(fresh)
        with _discarded_on_failure(fresh), closing(ClientStore(fresh, key)) as store:
            # The same list of people goes on, and no round is used twice.
            for name, kind in (("head", list), ("last_round", int)):
                if isinstance(value := old.get(name), kind):
                    store.set(name, value)
            undelivered = left_out = 0
            for entry in old.entries():
                if entry is None:
                    left_out += 1
                else:
                    store.history.add_entry(entry)
                    store.set(f"talked:{entry.talk}", True)
                    undelivered += entry.state is TextState.FAILED
            store.set(_BROUGHT, [aside.name, undelivered, left_out])
            store.commit()
    _move(path, aside)
    _move(fresh, path)


@contextmanager
def _discarded_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            _discard(path)
        raise


def _discard(path: Path) -> None:
    for file in (path, path.with_name(path.name + "-journal")):
        file.unlink(missing_ok=True)


def _aside(path: Path, reason: Reason) -> Path:
    return path.with_suffix(f".{reason.value}-{os.urandom(4).hex()}")


def _move(path: Path, to: Path) -> None:
    try:
        path.rename(to)
    except OSError as error:
        raise StoreError("This account's file on this machine cannot be moved: check its folder.") from error
