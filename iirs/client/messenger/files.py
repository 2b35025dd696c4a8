"""``Files``: files on their way, to and from everybody.

States of one file between two people (``FileTransfer``):

    ours:    MOVING <-> PAUSED;  MOVING -all delivered-> DONE
    theirs:  MOVING -all here, and checked-> DONE, or DAMAGED if its digest is another: the sender is told
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
from iirs.client.events import FileAdded, TransferChanged
from iirs.client.messenger.context import Context
from iirs.client.messenger.file_transfer import FileTransfer, parts_of, safe_name
from iirs.client.messenger.notes import FileOffer, FileStop, encode_note
from iirs.client.store.log_entry import (
    EntryKind,
    FileInfo,
    Item,
    ItemKind,
    LogEntry,
    TextState,
    TransferProgress,
    TransferState,
)
from iirs.errors import AccountError
from iirs.message import PAYLOAD_MAX

_MOVING = "file:"
_OVER = "file over:"
COMING_MAX = 16
"""Files on their way from one person to another at once: ours beyond wait, theirs beyond are not taken in."""
_ID_SIZE = 16


class Files:
    """One account's. ``send_note`` queues a note for a person. The store's owner thread only."""

    def __init__(self, context: Context, send_note: Callable[[str, bytes], object]) -> None:
        """Load what is on its way. Raises ``StoreError``."""
        store = context.store
        self._context = context
        self._store = store
        self._events = context.events
        self._send_note = send_note
        transfers = sorted(map(FileTransfer.from_state, store.values(_MOVING).values()), key=_when)
        self._transfers = {transfer.file.file_id: transfer for transfer in transfers}
        """What is on its way, oldest first."""

    def transfer(self, file_id: bytes) -> TransferProgress | None:
        """Return where a file stands, or ``None`` if there is none."""
        transfer = self._find(file_id)
        return None if transfer is None else TransferProgress(file_id, transfer.state, transfer.done_bytes)

    # -- ours ---------------------------------------------------------------------------------------

    def offer(self, peer: str, name: str, data: bytes, now_ms: int, expires_at_ms: int) -> LogEntry:
        """Announce a file; its pieces follow. Raises ``AccountError`` if it is empty or too long."""
        if not 0 < len(data) <= FILE_MAX:
            raise AccountError(
                "A file must have at least one byte, and at most {limit} KiB.", limit=FILE_MAX // 1024
            )
        file = FileInfo(
            self._context.environment.random_bytes(_ID_SIZE),
            safe_name(name),
            len(data),
            hashlib.sha256(data).digest(),
        )
        self._store.history.add_file(file.file_id, file.size)
        for part in range(parts_of(file.size)):
            piece = data[part * PAYLOAD_MAX : (part + 1) * PAYLOAD_MAX]
            self._store.history.write_piece(file.file_id, part, piece)
        entry = self._log(FileTransfer(file, peer, outgoing=True, sent_at_ms=now_ms), expires_at_ms)
        self._announce(peer)
        return entry

    def _announce(self, peer: str) -> None:
        """Tell ``peer`` of our files that have waited, as many as may be on their way at once."""
        ours = [item for item in self._transfers.values() if item.outgoing and item.peer == peer]
        for transfer in ours[:COMING_MAX]:
            if not transfer.announced:
                transfer.announced = True
                self._send_note(peer, encode_note(FileOffer(transfer.file)))
                self._save(transfer)

    def supply(self, peer: str) -> Item | None:
        """Return the next piece for ``peer``, and remember that it was given; ``None`` if there is none."""
        for transfer in self._transfers.values():
            moves = transfer.announced and transfer.peer == peer and transfer.state is TransferState.MOVING
            if moves and transfer.given < transfer.parts:
                file_id, number = transfer.file.file_id, transfer.given
                data = self._store.history.read_piece(file_id, number)
                item = Item(file_id, ItemKind.PART, data, transfer.sent_at_ms, number, transfer.parts)
                transfer.given += 1
                self._store.queue(peer, item)
                self._save(transfer)
                return item
        return None

    def delivered(self, peer: str, item: Item) -> None:
        """Take in that a piece has been acknowledged."""
        transfer = self._transfers.get(item.item_id)
        if transfer is None or not transfer.outgoing or transfer.peer != peer:
            return
        transfer.done += 1
        if transfer.done == transfer.parts:
            self._store.history.set_state(peer, item.item_id, TextState.DELIVERED)
            self._end(transfer, TransferState.DONE)
        else:
            self._changed(transfer)

    def pause(self, file_id: bytes) -> None:
        """Pause a file of ours, or go on with it."""
        transfer = self._transfers.get(file_id)
        if transfer is not None and transfer.outgoing:
            paused = transfer.state is TransferState.PAUSED
            transfer.state = TransferState.MOVING if paused else TransferState.PAUSED
            self._changed(transfer)

    def cancel(self, file_id: bytes) -> None:
        """Stop a file, ours or theirs, and tell the other, if they know of it."""
        transfer = self._transfers.get(file_id)
        if transfer is not None:
            if (transfer.announced or not transfer.outgoing) and not transfer.is_here:
                self._send_note(transfer.peer, encode_note(FileStop(file_id)))
            self._stop(transfer, TransferState.CANCELLED)

    # -- theirs -------------------------------------------------------------------------------------

    def offered(self, peer: str, offer: FileOffer, now_ms: int, expires_at_ms: int) -> None:
        """Take in that ``peer`` begins to send a file."""
        file = offer.file
        history = self._store.history
        is_known = history.has_item(peer, file.file_id) or history.is_erasing(file.file_id)
        if is_known or self._find(file.file_id) is not None:
            return  # no honest peer names one file twice, and nobody else can know the name of another's
        theirs = [item for item in self._transfers.values() if item.peer == peer and not item.outgoing]
        if sum(not item.is_here for item in theirs) >= COMING_MAX:
            return
        self._store.history.add_file(file.file_id, file.size)
        self._log(FileTransfer(file, peer, outgoing=False, sent_at_ms=now_ms), expires_at_ms)

    def arrived(self, peer: str, item: Item) -> None:
        """Take in a piece. One that is not the next of a file on its way is not kept."""
        transfer = self._transfers.get(item.item_id)
        if transfer is None or transfer.outgoing or transfer.peer != peer or item.part != transfer.done:
            return
        if transfer.is_here:
            return  # and waits to be checked
        expected = min(PAYLOAD_MAX, transfer.file.size - item.part * PAYLOAD_MAX)
        if item.parts != transfer.parts or len(item.data) != expected:
            self._refuse(transfer)
            return
        self._store.history.write_piece(transfer.file.file_id, item.part, item.data)
        transfer.done += 1
        self._changed(transfer)

    def check(self) -> int | None:
        """Check one file that is here whole against its digest; a step (``budget``)."""
        whole = next((item for item in self._transfers.values() if item.is_here), None)
        if whole is None:
            return None
        data = self._store.history.read_file(whole.file.file_id)
        if hashlib.sha256(data).digest() == whole.file.digest:
            self._end(whole, TransferState.DONE)
        else:
            self._refuse(whole)
        return len(data)

    def _refuse(self, transfer: FileTransfer) -> None:
        """Keep nothing of a file that is not what was announced, and have its sender know."""
        self._send_note(transfer.peer, encode_note(FileStop(transfer.file.file_id)))
        self._stop(transfer, TransferState.DAMAGED)

    def stopped(self, peer: str, note: FileStop) -> None:
        """Take in that ``peer`` does not want a file, or does not go on with it; what is here whole stays."""
        transfer = self._find(note.file_id)
        if transfer is None or transfer.peer != peer or transfer.is_here:
            return
        if transfer.outgoing or not transfer.is_over:
            self._stop(transfer, TransferState.CANCELLED)

    # -- both ---------------------------------------------------------------------------------------

    def read(self, file_id: bytes) -> bytes:
        """Return a whole file that is here. Raises ``AccountError`` if it is not, or not whole."""
        transfer = self._find(file_id)
        if transfer is None or not (transfer.outgoing or transfer.state is TransferState.DONE):
            raise AccountError("This file is not here.")
        return self._store.history.read_file(file_id)

    def forget(self, file_id: bytes) -> None:
        """Forget a file whose entry was deleted; one that is on its way is stopped."""
        self.cancel(file_id)
        self._store.remove(_OVER + file_id.hex())

    def _stop(self, transfer: FileTransfer, state: TransferState) -> None:
        if transfer.outgoing:
            self._store.history.set_state(transfer.peer, transfer.file.file_id, TextState.FAILED)
        else:
            self._store.history.remove_file(transfer.file.file_id)
        self._end(transfer, state)

    def _end(self, transfer: FileTransfer, state: TransferState) -> None:
        file_id = transfer.file.file_id
        transfer.state = state
        self._transfers.pop(file_id, None)
        self._store.remove(_MOVING + file_id.hex())
        self._changed(transfer)
        self._announce(transfer.peer)

    def _log(self, transfer: FileTransfer, expires_at_ms: int) -> LogEntry:
        file, peer, outgoing = transfer.file, transfer.peer, transfer.outgoing
        author, state = (self._context.account.name, TextState.QUEUED) if outgoing else (peer, None)
        entry = LogEntry(
            peer,
            file.file_id,
            EntryKind.FILE,
            outgoing,
            author,
            file.name,
            transfer.sent_at_ms,
            state,
            expires_at_ms,
            file,
        )
        self._transfers[file.file_id] = transfer
        self._store.history.add_entry(entry)
        self._events.append(FileAdded(entry))
        self._changed(transfer)
        return entry

    def _find(self, file_id: bytes) -> FileTransfer | None:
        """Return a transfer that is on its way, or over."""
        if file_id in self._transfers:
            return self._transfers[file_id]
        state = self._store.get(_OVER + file_id.hex())
        return None if state is None else FileTransfer.from_state(state)

    def _save(self, transfer: FileTransfer) -> None:
        prefix = _OVER if transfer.is_over else _MOVING
        self._store.set(prefix + transfer.file.file_id.hex(), transfer.to_state())

    def _changed(self, transfer: FileTransfer) -> None:
        file = transfer.file
        self._save(transfer)
        self._events.append(
            TransferChanged(transfer.peer, file.file_id, transfer.state, transfer.done_bytes, file.size)
        )


def _when(transfer: FileTransfer) -> int:
    return transfer.sent_at_ms
