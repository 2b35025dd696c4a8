"""``ChainView``: what a client believes of its chain, and how the entry has to prove it.

Epoch keys are signed by their hops, the list of people and each of its heads by the whole chain, a bundle is
named by the next announcement, which every honest server has seen too. Whatever does not fit is refused with
an error that ends the connection, before anything is made of it.
"""

from __future__ import annotations

from contextlib import suppress

from iirs.client.account.account import Account, SessionStart
from iirs.client.store.store import ClientStore
from iirs.directory import Directory, Head
from iirs.epoch import EpochKey
from iirs.errors import ChainError, DirectoryError, PeerError
from iirs.message import PeerMessage
from iirs.prekey import KnownPrekeys, Prekey
from iirs.suite import PublicKey
from iirs.wire.rounds import NO_BUNDLE, NOTHING_BEFORE, Announcement, Bundle


class ChainView:
    """One account's. The engine's thread only."""

    def __init__(self, account: Account, store: ClientStore) -> None:
        self.directory = Directory(account.chain.chain_id)
        """Everybody, as the chain has signed it; it only grows."""
        self._account = account
        self._chain = account.chain
        self._store = store
        self._epoch_keys: dict[tuple[int, bytes], EpochKey] = {}
        self._prekeys = KnownPrekeys()
        self._head: Head | None = None
        """The newest that was shown."""
        self._announced_length = 0
        """Up to where the list was announced, in all sessions: it never goes back, whoever starts anew."""
        self._bundle: Bundle | None = None
        self._bundle_due = -1
        """The round whose bundle has come or must come before the next announcement."""
        self._announced = -1
        """The round announced last in this session."""
        self._setup_round = -1
        """Whose circuits that one used."""
        self._history = NOTHING_BEFORE
        """Hash of the announcement taken in last in this session."""

    # -- the list of people ---------------------------------------------------------------------------

    def begin_session(self, start: SessionStart) -> bool:
        """Take in the list of people and prekeys that login gave; return whether the list has grown.

        Nothing is left of the session before but the list. Raises ``DirectoryError``, ``ChainError``, or
        ``PeerError`` if a part is missing.
        """
        length, digest = self._store.get("head", [0, self.directory.digests[0].hex()])
        if self._head is not None and self._head.length > length:  # the disk did not take it
            length, digest = self._head.length, self._head.digest.hex()
        before = len(self.directory)
        self.directory.extend(0, start.entries, start.head, self._chain)
        # Also where memory holds all of it: the server may not have as many any more.
        if length > start.head.length or self.directory.digests[length].hex() != digest:
            raise DirectoryError(
                "The server's list of people does not continue the one it showed before. "
                "It was set up anew, or somebody is being shown a different list."
            )
        mine = start.own_entry(self.directory, self._account.name)
        if mine.verify_key.raw != self._account.identity.verify_key_bytes:
            raise DirectoryError("The server's list of people shows another key under this account's name.")
        self._prekeys.take_in(start.prekeys, self.directory)
        self._head = start.head
        self._bundle, self._bundle_due, self._announced = None, -1, -1
        self._epoch_keys = {}
        return len(self.directory) != before

    def take_directory(self, announcement: Announcement) -> bool:
        """Take in the people and prekeys an announcement adds; return whether the list has grown.

        Raises ``DirectoryError`` if it is not a continuation of what was announced before, ``PeerError`` if a
        part is missing.
        """
        before = len(self.directory)
        self.directory.extend(
            announcement.increment_start, announcement.increment, announcement.head, self._chain
        )
        if announcement.head.length < self._announced_length:
            raise DirectoryError("The server announced an older list of people than before.")
        self._announced_length = announcement.head.length
        period = self._chain.period(announcement.round_number)
        self._prekeys.take_in(announcement.prekeys, self.directory, period)
        self._head = announcement.head
        return len(self.directory) != before

    def keep_head(self) -> None:
        """Remember the newest head for later sessions; whoever calls commits. Raises ``StoreError``."""
        length, _ = self._store.get("head", [0, ""])
        if self._head is not None and self._head.length >= length:
            self._store.set("head", [self._head.length, self._head.digest.hex()])

    def prekey_of(self, name: str, round_number: int) -> Prekey | None:
        """Return the newest prekey of a person that may be sealed to in a round, if one is known."""
        return self._prekeys.newest(self.directory.position(name), self._chain.period(round_number))

    def differs(self, message: PeerMessage) -> bool:
        """Return whether the peer was shown another list of people, as far as this message can tell."""
        known = self.directory.digests
        return message.head_length < len(known) and known[message.head_length] != message.head_hash

    def proves_two(self, payload: bytes) -> bool:
        """Return whether a head that a peer was shown proves that the chain has signed two lists."""
        if len(payload) != self._chain.geometry.head_size:
            return False
        head = Head.decode(payload)
        if head.length >= len(self.directory.digests):
            return False
        with suppress(ChainError):
            head.verify(self._chain)
            return self.directory.digests[head.length] != head.digest
        return False

    # -- epoch keys -----------------------------------------------------------------------------------

    def take_keys(self, body: bytes) -> None:
        """Take in the hops' epoch keys. Raises ``ChainError`` unless each hop signed its own."""
        size = self._chain.geometry.epoch_key_size
        keys = [EpochKey.decode(body[start : start + size]) for start in range(0, len(body), size)]
        for hop, key in enumerate(keys):
            key.verified(self._chain, hop)
        shown = {(hop, key.key_id): key for hop, key in enumerate(keys)}
        # The last epoch's keys stay for one more: a round announced just before may still be open.
        self._epoch_keys = {**dict(list(self._epoch_keys.items())[-len(keys) :]), **shown}

    def keys_for(self, announcement: Announcement) -> list[PublicKey]:
        """Return the later hops' keys that a round is announced with, each in its own hop's place.

        Raises ``ChainError`` if a hop did not sign the one in its place, or not for this round: an entry
        that names its own key for all, or one that somebody stole long ago, would open every layer itself.
        """
        keys = []
        for hop, key_id in enumerate(announcement.key_ids[1:], 1):
            key = self._epoch_keys.get((hop, key_id))
            if key is None:
                raise ChainError("The server announced a round with keys that its chain did not sign.")
            keys.append(
                key.verified_for_epoch(self._chain, hop, announcement.setup_round, announcement.round_number)
            )
        return keys

    # -- the announcements one after the other --------------------------------------------------------

    def take_place(self, announcement: Announcement, digest: bytes) -> None:
        """Take in which round comes after which.

        Raises ``ChainError`` if it does not follow what was announced in this session: a server that shows
        one person another history than the rest would see, at the next setup, who believes it.
        """
        begins = self._announced == -1
        if not begins and announcement.previous != self._history:
            raise ChainError(
                "The server showed other rounds than its chain agreed on. Somebody may be trying to find out "
                "who talks to whom: tell the people who run the servers."
            )
        number, setup_round = announcement.round_number, announcement.setup_round
        is_within = 0 <= number - setup_round < self._chain.epoch_rounds
        if not is_within or not (begins or setup_round in (number, self._setup_round)):
            raise PeerError("The server announced a round that does not fit those before it.")
        self._history, self._setup_round = digest, setup_round

    # -- bundles --------------------------------------------------------------------------------------

    def expect_bundle(self, round_number: int) -> None:
        """Take in that a round with invitations is over, and its bundle comes before the next one."""
        self._bundle_due = round_number

    def take_bundle(self, bundle: Bundle) -> None:
        """Keep the bundle of a round that has just closed until the next announcement names it.

        Somebody who was shown a bundle of her own would begin a conversation alone, and be seen.
        """
        if bundle.round_number == self._bundle_due:
            self._bundle = bundle

    def settle_bundle(self, announcement: Announcement) -> Bundle | None:
        """Return the bundle that came since the last announcement, if this one is the next round's.

        After a gap, or a reconnection, nobody can tell what the bundle was, and nobody begins anything.
        Raises ``ChainError`` if another is named than has come: every honest server has seen the announcement
        too. So a round that was lost, or whose replies never came, has none; otherwise a server could keep a
        bundle from one person alone, and see her partner begin without her.
        """
        bundle, self._bundle = self._bundle, None
        last, self._announced = self._announced, announcement.round_number
        self._bundle_due = -1
        if last == -1 or announcement.round_number != last + 1:
            return None
        shown = NO_BUNDLE if bundle is None else bundle.digest
        if shown != announcement.bundle_digest:
            raise ChainError(
                "The server showed other invitations than its chain agreed on. Somebody may be trying"
                " to find out who talks to whom: tell the people who run the servers."
            )
        return bundle
