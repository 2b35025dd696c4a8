"""``FileDesk``: files on their way, to and from everybody. Owned by ``Desk``; one thread.

States of one file between two people (``Passage``):

    ours:    MOVING <-> PAUSED;  MOVING -all delivered-> DONE
    theirs:  MOVING -all here-> DONE, or DAMAGED if its digest is another
    either:  -one of the two stops it-> CANCELLED

What each loss does: a piece that is not acknowledged is in the outbox and goes again; a piece that comes
again after a new handshake is known by its number; both counters are stored in the same commit as the
pieces, before an upload or an acknowledgement leaves. So after a stop at any moment it goes on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from iirs.client.chat_session import Incoming
from iirs.client.entries import Entry, EntryKind, FileInfo, ItemKind, Outgoing, TextState
from iirs.client.events import Event, FileAdded, TransferChanged, TransferState
from iirs.client.store import ClientStore
from iirs.client.talk import Transfer
from iirs.client.transfers import FILE_MAX, FileOffer, FileStop, Passage, encode_note, parts_of, safe_name
from iirs.errors import AccountError
from iirs.geometry import RandomBytes
from iirs.message import PAYLOAD_MAX

_PREFIX = "file:"
COMING_MAX = 16
"""Files one person may have on their way to us at once; those beyond are not taken in."""
_ID_SIZE = 16


class FileDesk:
    """``send_note`` queues a note for a person, ``emit`` tells the window."""

    def __init__(
        self,
        me: str,
        store: ClientStore,
        random_bytes: RandomBytes,
        send_note: Callable[[str, bytes], object],
        emit: Callable[[Event], None],
    ) -> None:
        """Load what was on its way. Raises ``StoreError``."""
        self._me = me
        self._store = store
        self._random_bytes = random_bytes
        self._send_note = send_note
        self._emit = emit
        self._passages = [Passage.from_state(state) for state in store.values(_PREFIX).values()]
        self._passages.sort(key=lambda passage: passage.sent_at_ms)

    def transfers(self) -> list[Transfer]:
        """Return where every file stands."""
        return [Transfer(item.file.file_id, item.state, item.done_bytes) for item in self._passages]

    # -- ours ---------------------------------------------------------------------------------------

    def offer(self, peer: str, talk: str, name: str, data: bytes, now_ms: int, expires_at_ms: int) -> Entry:
        """Announce a file; its pieces follow. Raises ``AccountError`` if it is empty or too long."""
        if not 0 < len(data) <= FILE_MAX:
            raise AccountError(
                "A file must have at least one byte, and at most {limit} KiB.", limit=FILE_MAX // 1024
            )
        file = FileInfo(
            self._random_bytes(_ID_SIZE), safe_name(name), len(data), hashlib.sha256(data).digest()
        )
        self._store.add_file(file.file_id, file.size)
        for part in range(parts_of(file.size)):
            piece = data[part * PAYLOAD_MAX : (part + 1) * PAYLOAD_MAX]
            self._store.write_piece(file.file_id, part, piece)
        self._send_note(peer, encode_note(FileOffer(file)))
        self._keep(Passage(file, peer, talk, outgoing=True, sent_at_ms=now_ms))
        return self._log(file, talk, self._me, now_ms, expires_at_ms, TextState.QUEUED)

    def supply(self, peer: str) -> Outgoing | None:
        """Return the next piece for ``peer``, and remember that it was given; ``None`` if there is none."""
        for passage in self._passages:
            waits = passage.outgoing and passage.peer == peer and passage.state is TransferState.MOVING
            if waits and passage.given < passage.parts:
                data = self._store.read_piece(passage.file.file_id, passage.given)
                item = Outgoing(
                    passage.file.file_id,
                    ItemKind.PART,
                    data,
                    passage.sent_at_ms,
                    passage.given,
                    passage.parts,
                )
                passage.given += 1
                self._store.queue(peer, item)
                self._save(passage)
                return item
        return None

    def delivered(self, peer: str, item: Outgoing) -> None:
        """Take in that a piece has been acknowledged."""
        passage = self._find(item.item_id, peer)
        if passage is None or not passage.outgoing or passage.is_over:
            return
        passage.done += 1
        if passage.done == passage.parts:
            passage.state = TransferState.DONE
            self._store.set_state(passage.talk, item.item_id, TextState.DELIVERED)
        self._changed(passage)

    def pause(self, file_id: bytes) -> None:
        """Pause a file of ours, or go on with it."""
        for passage in self._with(file_id):
            if passage.outgoing and not passage.is_over:
                paused = passage.state is TransferState.PAUSED
                passage.state = TransferState.MOVING if paused else TransferState.PAUSED
                self._changed(passage)

    def cancel(self, file_id: bytes) -> None:
        """Stop a file, ours or theirs, and tell the other."""
        for passage in self._with(file_id):
            if not passage.is_over:
                self._send_note(passage.peer, encode_note(FileStop(file_id)))
                self._stop(passage)

    # -- theirs -------------------------------------------------------------------------------------

    def offered(self, peer: str, offer: FileOffer, now_ms: int, expires_at_ms: int) -> None:
        """Take in that ``peer`` begins to send a file."""
        file = offer.file
        if self._store.has_item(peer, file.file_id):
            return  # it was here before, and was deleted
        if self._store.file_size(file.file_id) is not None or self._find(file.file_id, peer) is not None:
            return  # no honest peer names one file twice, and nobody else can know the name of another's
        coming = [item for item in self._passages if item.peer == peer and not item.outgoing]
        if sum(not item.is_over for item in coming) >= COMING_MAX:
            return
        self._store.add_file(file.file_id, file.size)
        self._keep(Passage(file, peer, peer, outgoing=False, sent_at_ms=now_ms))
        self._log(file, peer, peer, now_ms, expires_at_ms, None)

    def arrived(self, peer: str, item: Incoming) -> None:
        """Take in a piece. One that is not the next of a file on its way is not kept."""
        passage = self._find(item.item_id, peer)
        if passage is None or passage.outgoing or passage.is_over or item.part != passage.done:
            return
        expected = min(PAYLOAD_MAX, passage.file.size - item.part * PAYLOAD_MAX)
        if item.parts != passage.parts or len(item.data) != expected:
            self._stop(passage, TransferState.DAMAGED)
            return
        self._store.write_piece(passage.file.file_id, item.part, item.data)
        passage.done += 1
        if passage.done == passage.parts:
            self._complete(passage)
        self._changed(passage)

    def _complete(self, passage: Passage) -> None:
        file = passage.file
        whole = self._store.read_file(file.file_id)
        if hashlib.sha256(whole).digest() == file.digest:
            passage.state = TransferState.DONE
        else:
            self._stop(passage, TransferState.DAMAGED)

    def stopped(self, peer: str, note: FileStop) -> None:
        """Take in that ``peer`` does not go on with a file."""
        passage = self._find(note.file_id, peer)
        if passage is not None and not passage.is_over:
            self._stop(passage)

    # -- both ---------------------------------------------------------------------------------------

    def read(self, file_id: bytes) -> bytes:
        """Return a whole file that is here. Raises ``AccountError`` if it is not, or not whole."""
        passages = self._with(file_id)
        whole = any(item.outgoing or item.state is TransferState.DONE for item in passages)
        if not whole or self._store.file_size(file_id) is None:
            raise AccountError("This file is not here.")
        return self._store.read_file(file_id)

    def _stop(self, passage: Passage, state: TransferState = TransferState.CANCELLED) -> None:
        passage.state = state
        if passage.outgoing:
            self._store.set_state(passage.talk, passage.file.file_id, TextState.FAILED)
        else:
            self._store.remove_file(passage.file.file_id)
        self._changed(passage)

    def _log(
        self,
        file: FileInfo,
        talk: str,
        author: str,
        now_ms: int,
        expires_at_ms: int,
        state: TextState | None,
    ) -> Entry:
        outgoing = author == self._me
        entry = Entry(
            talk,
            file.file_id,
            EntryKind.FILE,
            outgoing,
            author,
            file.name,
            now_ms,
            state,
            expires_at_ms,
            file,
        )
        self._store.add_entry(entry)
        self._emit(FileAdded(entry))
        return entry

    def forget(self, file_id: bytes) -> None:
        """Forget a file whose entry was deleted; one that is on its way is stopped."""
        self.cancel(file_id)
        for passage in self._with(file_id):
            self._passages.remove(passage)
            self._store.remove(_key(passage))

    def _with(self, file_id: bytes) -> list[Passage]:
        return [passage for passage in self._passages if passage.file.file_id == file_id]

    def _find(self, file_id: bytes, peer: str) -> Passage | None:
        return next((passage for passage in self._with(file_id) if passage.peer == peer), None)

    def _keep(self, passage: Passage) -> None:
        self._passages.append(passage)
        self._changed(passage)

    def _save(self, passage: Passage) -> None:
        self._store.set(_key(passage), passage.to_state())

    def _changed(self, passage: Passage) -> None:
        self._save(passage)
        self._emit(
            TransferChanged(
                passage.talk, passage.file.file_id, passage.state, passage.done_bytes, passage.file.size
            )
        )


def _key(passage: Passage) -> str:
    return f"{_PREFIX}{passage.peer}:{passage.file.file_id.hex()}"
