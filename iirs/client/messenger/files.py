"""``FileDesk``: files on their way, to and from everybody. Owned by ``Desk``; one thread.

States of one file between two people (``Passage``):

    ours:    MOVING <-> PAUSED;  MOVING -all delivered-> DONE
    theirs:  MOVING -all here-> DONE, or DAMAGED if its digest is another, and the sender is told to stop
    either:  -one of the two stops it-> CANCELLED

Of ours to one person 16 at most are announced and not over; others wait for one of them to end.

What each loss does: a piece that is not acknowledged is in the outbox and goes again; a piece that comes
again after a new handshake is known by its number; both counters are stored in the same commit as the
pieces, before an upload or an acknowledgement leaves. So after a stop at any moment it goes on where it was.

Only files on their way are in memory: what is looked at for each piece must not grow with all there were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from iirs.client.chat_session import FILE_MAX
from iirs.client.events import Event, FileAdded, TransferChanged
from iirs.client.messenger.file_transfer import Passage, parts_of, safe_name
from iirs.client.messenger.notes import FileOffer, FileStop, encode_note
from iirs.client.store.log_entry import (
    Entry,
    EntryKind,
    FileInfo,
    Item,
    ItemKind,
    TextState,
    Transfer,
    TransferState,
)
from iirs.client.store.store import ClientStore
from iirs.errors import AccountError
from iirs.geometry import RandomBytes
from iirs.message import PAYLOAD_MAX

_MOVING = "file:"
_OVER = "file over:"
COMING_MAX = 16
"""Files on their way from one person to another at once: ours beyond wait, theirs beyond are not taken in."""
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
        """Load what is on its way. Raises ``StoreError``."""
        self._me = me
        self._store = store
        self._random_bytes = random_bytes
        self._send_note = send_note
        self._emit = emit
        passages = sorted(map(Passage.from_state, store.values(_MOVING).values()), key=_when)
        self._passages = {passage.file.file_id: passage for passage in passages}
        """What is on its way, oldest first."""

    def transfer(self, file_id: bytes) -> Transfer | None:
        """Return where a file stands, or ``None`` if there is none."""
        passage = self._find(file_id)
        return None if passage is None else Transfer(file_id, passage.state, passage.done_bytes)

    # -- ours ---------------------------------------------------------------------------------------

    def offer(self, peer: str, name: str, data: bytes, now_ms: int, expires_at_ms: int) -> Entry:
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
        entry = self._log(Passage(file, peer, outgoing=True, sent_at_ms=now_ms), expires_at_ms)
        self._announce(peer)
        return entry

    def _announce(self, peer: str) -> None:
        """Tell ``peer`` of our files that have waited, as many as may be on their way at once."""
        ours = [item for item in self._passages.values() if item.outgoing and item.peer == peer]
        for passage in ours[:COMING_MAX]:
            if not passage.announced:
                passage.announced = True
                self._send_note(peer, encode_note(FileOffer(passage.file)))
                self._save(passage)

    def supply(self, peer: str) -> Item | None:
        """Return the next piece for ``peer``, and remember that it was given; ``None`` if there is none."""
        for passage in self._passages.values():
            moves = passage.announced and passage.peer == peer and passage.state is TransferState.MOVING
            if moves and passage.given < passage.parts:
                file_id, number = passage.file.file_id, passage.given
                data = self._store.read_piece(file_id, number)
                item = Item(file_id, ItemKind.PART, data, passage.sent_at_ms, number, passage.parts)
                passage.given += 1
                self._store.queue(peer, item)
                self._save(passage)
                return item
        return None

    def delivered(self, peer: str, item: Item) -> None:
        """Take in that a piece has been acknowledged."""
        passage = self._passages.get(item.item_id)
        if passage is None or not passage.outgoing or passage.peer != peer:
            return
        passage.done += 1
        if passage.done == passage.parts:
            self._store.set_state(peer, item.item_id, TextState.DELIVERED)
            self._end(passage, TransferState.DONE)
        else:
            self._changed(passage)

    def pause(self, file_id: bytes) -> None:
        """Pause a file of ours, or go on with it."""
        passage = self._passages.get(file_id)
        if passage is not None and passage.outgoing:
            paused = passage.state is TransferState.PAUSED
            passage.state = TransferState.MOVING if paused else TransferState.PAUSED
            self._changed(passage)

    def cancel(self, file_id: bytes) -> None:
        """Stop a file, ours or theirs, and tell the other, if they know of it."""
        passage = self._passages.get(file_id)
        if passage is not None:
            if passage.announced or not passage.outgoing:
                self._send_note(passage.peer, encode_note(FileStop(file_id)))
            self._stop(passage, TransferState.CANCELLED)

    # -- theirs -------------------------------------------------------------------------------------

    def offered(self, peer: str, offer: FileOffer, now_ms: int, expires_at_ms: int) -> None:
        """Take in that ``peer`` begins to send a file."""
        file = offer.file
        if self._store.has_item(peer, file.file_id) or self._find(file.file_id) is not None:
            return  # no honest peer names one file twice, and nobody else can know the name of another's
        coming = [item for item in self._passages.values() if item.peer == peer and not item.outgoing]
        if len(coming) >= COMING_MAX:
            return
        self._store.add_file(file.file_id, file.size)
        self._log(Passage(file, peer, outgoing=False, sent_at_ms=now_ms), expires_at_ms)

    def arrived(self, peer: str, item: Item) -> None:
        """Take in a piece. One that is not the next of a file on its way is not kept."""
        passage = self._passages.get(item.item_id)
        if passage is None or passage.outgoing or passage.peer != peer or item.part != passage.done:
            return
        expected = min(PAYLOAD_MAX, passage.file.size - item.part * PAYLOAD_MAX)
        if item.parts != passage.parts or len(item.data) != expected:
            self._refuse(passage)
            return
        self._store.write_piece(passage.file.file_id, item.part, item.data)
        passage.done += 1
        if passage.done < passage.parts:
            self._changed(passage)
        elif hashlib.sha256(self._store.read_file(item.item_id)).digest() == passage.file.digest:
            self._end(passage, TransferState.DONE)
        else:
            self._refuse(passage)

    def _refuse(self, passage: Passage) -> None:
        """Keep nothing of a file that is not what was announced, and have its sender know."""
        self._send_note(passage.peer, encode_note(FileStop(passage.file.file_id)))
        self._stop(passage, TransferState.DAMAGED)

    def stopped(self, peer: str, note: FileStop) -> None:
        """Take in that ``peer`` does not want a file, or does not go on with it; what is here whole stays."""
        passage = self._find(note.file_id)
        if passage is not None and passage.peer == peer and (passage.outgoing or not passage.is_over):
            self._stop(passage, TransferState.CANCELLED)

    # -- both ---------------------------------------------------------------------------------------

    def read(self, file_id: bytes) -> bytes:
        """Return a whole file that is here. Raises ``AccountError`` if it is not, or not whole."""
        passage = self._find(file_id)
        if passage is None or not (passage.outgoing or passage.state is TransferState.DONE):
            raise AccountError("This file is not here.")
        return self._store.read_file(file_id)

    def forget(self, file_id: bytes) -> None:
        """Forget a file whose entry was deleted; one that is on its way is stopped."""
        self.cancel(file_id)
        self._store.remove(_OVER + file_id.hex())

    def _stop(self, passage: Passage, state: TransferState) -> None:
        if passage.outgoing:
            self._store.set_state(passage.peer, passage.file.file_id, TextState.FAILED)
        else:
            self._store.remove_file(passage.file.file_id)
        self._end(passage, state)

    def _end(self, passage: Passage, state: TransferState) -> None:
        file_id = passage.file.file_id
        passage.state = state
        self._passages.pop(file_id, None)
        self._store.remove(_MOVING + file_id.hex())
        self._changed(passage)
        self._announce(passage.peer)

    def _log(self, passage: Passage, expires_at_ms: int) -> Entry:
        file, peer, outgoing = passage.file, passage.peer, passage.outgoing
        author, state = (self._me, TextState.QUEUED) if outgoing else (peer, None)
        entry = Entry(
            peer,
            file.file_id,
            EntryKind.FILE,
            outgoing,
            author,
            file.name,
            passage.sent_at_ms,
            state,
            expires_at_ms,
            file,
        )
        self._passages[file.file_id] = passage
        self._store.add_entry(entry)
        self._emit(FileAdded(entry))
        self._changed(passage)
        return entry

    def _find(self, file_id: bytes) -> Passage | None:
        """Return a passage that is on its way, or over."""
        if file_id in self._passages:
            return self._passages[file_id]
        state = self._store.get(_OVER + file_id.hex())
        return None if state is None else Passage.from_state(state)

    def _save(self, passage: Passage) -> None:
        prefix = _OVER if passage.is_over else _MOVING
        self._store.set(prefix + passage.file.file_id.hex(), passage.to_state())

    def _changed(self, passage: Passage) -> None:
        file = passage.file
        self._save(passage)
        self._emit(TransferChanged(passage.peer, file.file_id, passage.state, passage.done_bytes, file.size))


def _when(passage: Passage) -> int:
    return passage.sent_at_ms
