"""Everything a client decides, without a socket or a thread: announcement in, upload out, replies in.

The engine owns the rounds; its ``desk`` is what the person has to do with others. Whatever the person does,
each announcement gets exactly one upload of constant size, and nothing received changes when or whether it
goes.

Order of a round: ``open_round`` -> ``build_upload`` (stores the stepped state, then returns bytes) ->
``close_round`` and, in invite rounds, ``take_bundle``. ``stand_by`` comes instead while there are no rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from iirs.client.account.account import Account, SessionStart, World
from iirs.client.account.account_change import Errands
from iirs.client.account.own_prekeys import OwnPrekeys
from iirs.client.conversation import Conversation, Posted, Reach
from iirs.client.events import Event, Notice, RoundClosed, RoundFate, RoundOpened, StandingBy
from iirs.client.invitations import Invitation, InvitationKind
from iirs.client.messenger.messenger import Desk
from iirs.client.store.store import ClientStore
from iirs.client.text.translate import N_
from iirs.directory import Directory, Entry, Head
from iirs.epoch import EpochKey
from iirs.errors import (
    ChainError,
    DirectoryError,
    InvitationError,
    OnionError,
    PeerError,
    StoreError,
)
from iirs.geometry import (
    DROP_ID_SIZE,
    ONIONS_PER_SLOT,
    PEER_MESSAGE_SIZE,
    BatchKind,
)
from iirs.message import ContentKind, Message, MessageKind, PeerMessage
from iirs.onion import EntryChannel, RoundContext, cover_invitation, open_reply, wrap
from iirs.prekey import KnownPrekeys, Prekey
from iirs.suite import PublicKey
from iirs.wire.accounts import Errand, ErrandKind
from iirs.wire.rounds import (
    NO_BUNDLE,
    Announcement,
    Bundle,
    NoticeFlags,
    Replies,
    RoundStatus,
    Standby,
    Upload,
    announcement_hash,
)

_TOO_LATE = N_("The last upload reached the server too late; it will be repeated.")
MAX_AHEAD = 1800
"""A round further ahead of our own clock than this is refused."""


@dataclass(frozen=True, slots=True)
class _Cover:
    """An idle slot's round: both messages in one fresh drop, to come back swapped."""

    messages: tuple[bytes, ...] = field(repr=False)


@dataclass(slots=True)
class _Round:
    context: RoundContext
    announcement: Announcement
    hop_keys: list[PublicKey]
    slots: list[tuple[Conversation, Posted] | _Cover] = field(default_factory=list)
    reply_keys: list[list[bytes]] = field(default_factory=list)
    built: bool = False


class Engine:
    """One logged-in account. Not thread-safe: one owner thread; ``take_events`` hands out what happened."""

    def __init__(self, account: Account, store: ClientStore, world: World) -> None:
        """Raises ``StoreError`` if the store does not open."""
        self.account = account
        self.chain = account.chain
        self.directory = Directory(self.chain.chain_id)
        self._geometry = self.chain.geometry
        self._store = store
        self._world = world
        self.desk = Desk(account, store, world, self.directory)
        self.errands = Errands.load(store, account.login_secret)
        self._channel: EntryChannel | None = None
        self._epoch_keys: dict[tuple[int, bytes], EpochKey] = {}
        self._restored = False
        self._announced_length = 0
        self._bundle: Bundle | None = None
        self._bundle_due = -1
        """The round whose bundle has come or must come before the next announcement."""
        self._round: _Round | None = None
        self._last_used = int(store.get("last_round", 0))
        self._prekeys = KnownPrekeys()
        self._own_prekeys = OwnPrekeys(self._kept_prekeys())
        self._period_told = -1

    def _kept_prekeys(self) -> object:
        with suppress(StoreError):
            return self._store.get("prekeys")
        return None

    # -- session ------------------------------------------------------------------------------------

    def begin_session(self, start: SessionStart) -> None:
        """Take in what login gave. Raises ``DirectoryError`` or ``ChainError`` if it is not to be trusted."""
        position = start.record.position
        clock_round = int(self._world.clock() * 1000) // self.chain.round_ms
        if start.record.last_round > clock_round + MAX_AHEAD:
            raise PeerError("The server says this account was used in a round far ahead: check the clock.")
        known = self._store.get("head", [0, self.directory.digests[0].hex()])
        before = len(self.directory)
        self.directory.extend(0, start.entries, start.head, self.chain)
        if known[0] > len(self.directory) or self.directory.digests[known[0]].hex() != known[1]:
            raise DirectoryError(
                "The server's list of people does not continue the one it showed before. "
                "It was set up anew, or somebody is being shown a different list."
            )
        mine = start.own_entry(self.directory, self.account.name)
        if mine.verify_key.raw != self.account.identity.verify_key_bytes:
            raise DirectoryError("The server's list of people shows another key under this account's name.")
        self._prekeys.take_in(start.prekeys, self.directory)
        self._give_up_round()
        self._channel, self.desk.position = start.channel, position
        self._period_told = -1
        self._announced_length = 0
        self._bundle, self._bundle_due = None, -1
        self._epoch_keys = {}
        self.take_keys(start.epoch_keys)
        self._keep_head(start.head)
        if not self._restored or start.record.last_round > self._last_used:
            # Used elsewhere, or this file is an old copy: then its keys are not the newest.
            self.desk.restore(discard_keys=start.record.last_round > self._last_used)
            self._restored = True
            self._last_used = max(self._last_used, start.record.last_round)
            self.desk.resume()
        self.desk.tell_all()
        if len(self.directory) != before:
            self.desk.people_changed()

    def _keep_head(self, head: Head) -> None:
        known = self._store.get("head", [0, ""])
        if head.length >= known[0]:
            self._store.set("head", [head.length, head.digest.hex()])

    def take_keys(self, body: bytes) -> None:
        """Take in the hops' epoch keys. Raises ``ChainError`` unless each hop signed its own."""
        size = self._geometry.epoch_key_size
        keys = [EpochKey.decode(body[start : start + size]) for start in range(0, len(body), size)]
        for hop, key in enumerate(keys):
            key.verified(self.chain, hop)
        shown = {(hop, key.key_id): key for hop, key in enumerate(keys)}
        # The last epoch's keys stay for one more: a round announced just before may still be open.
        self._epoch_keys = {**dict(list(self._epoch_keys.items())[-len(keys) :]), **shown}

    # -- the person -----------------------------------------------------------------------------------

    def ask(self, peer: str) -> None:
        """As ``Desk.ask``."""
        self.desk.ask(peer)

    def send(self, talk: str, text: str) -> bytes:
        """As ``Desk.send``."""
        return self.desk.send(talk, text)

    def hang_up(self, peer: str) -> None:
        """As ``Desk.hang_up``."""
        self.desk.hang_up(peer)

    def take_events(self) -> list[Event]:
        """Return what happened since last asked, in order."""
        events = list(self.desk.events)
        self.desk.events.clear()
        return events

    def change_password(self, login_secret: bytes, make_vault: Callable[[bytes], bytes]) -> None:
        """Have the next uploads carry a new login secret, and the vault made for our directory entry."""
        self.errands.check_free()  # before a vault is written anywhere
        vault = make_vault(self.desk.me.raw)
        self.errands.set(Errand(ErrandKind.NEW_PASSWORD, login_secret, vault))

    def delete_account(self) -> None:
        """Have the next uploads ask the server to delete the account."""
        self.errands.set(Errand(ErrandKind.DELETE))

    # -- rounds -------------------------------------------------------------------------------------

    def open_round(self, encoded: bytes, notice: NoticeFlags = NoticeFlags.NONE) -> Announcement:
        """Take in an announcement. Raises ``PeerError``, ``ChainError`` or ``DirectoryError`` to disconnect.

        A round is refused if we have used it before, or if it is far ahead of our own clock.
        """
        announcement = Announcement.decode(encoded, self._geometry)
        number = announcement.round_number
        clock_round = int(self._world.clock() * 1000) // self.chain.round_ms
        if number <= max(self._last_used, self.desk.round_number):
            raise PeerError("The server announced a round that is over. It may have lost its memory.")
        if number > clock_round + MAX_AHEAD:
            raise PeerError("The server's rounds are far ahead of this machine's clock: check the clock.")
        if not announcement.has_time_for_uploads(self.chain.round_ms):
            raise PeerError("The server gives a time for uploads that does not fit its rounds.")
        hop_keys = self._keys_for(announcement)
        self._settle_bundle(announcement)
        before = len(self.directory)
        self.directory.extend(
            announcement.increment_start, announcement.increment, announcement.head, self.chain
        )
        if announcement.head.length < self._announced_length:
            raise DirectoryError("The server announced an older list of people than before.")
        self._announced_length = announcement.head.length
        self._prekeys.take_in(announcement.prekeys, self.directory, self.chain.period(number))
        self._keep_head(announcement.head)
        if len(self.directory) != before:
            self.desk.people_changed()
        self._give_up_round()
        context = RoundContext(self.chain.chain_id, number, announcement_hash(encoded))
        self._round = _Round(context, announcement, hop_keys)
        self.desk.round_number = number
        self.desk.expire()
        self.desk.admit_waiting()
        if (told := self.errands.answered(notice)) is not None:
            self.desk.events.append(told)
        if NoticeFlags.LATE in notice:
            self.desk.events.append(
                Notice("The last upload reached the server too late; it will be repeated.")
            )
        self.desk.events.append(
            RoundOpened(
                number,
                announcement.collect_ms / 1000,
                announcement.online,
                announcement.invite_every,
                self.chain.round_ms / 1000,
            )
        )
        self.desk.note_states()
        return announcement

    def stand_by(self, standby: Standby) -> None:
        """Take in that there is no round for now. Nothing is left to upload for; all else stays as it is."""
        self._give_up_round()
        self.desk.events.append(StandingBy(standby.hop, self._geometry.hops))

    def _give_up_round(self) -> None:
        """Take a round that is still open as lost: its replies can come no more."""
        if self._round is not None:
            self.desk.events.append(RoundClosed(self._round.context.round_number, RoundFate.LOST))
            self._round = None
            self._period_told = -1  # the upload may not have left, and the prekey with it

    def _keys_for(self, announcement: Announcement) -> list[PublicKey]:
        """Return the later hops' keys that a round is announced with, each in its own hop's place.

        Raises ``ChainError`` if a hop did not sign the one in its place, or not for this round: an entry
        that names its own key for all, or one that somebody stole long ago, would open every layer itself.
        """
        keys = []
        for hop, key_id in enumerate(announcement.key_ids[1:], 1):
            key = self._epoch_keys.get((hop, key_id))
            if key is None:
                raise ChainError("The server announced a round with keys that its chain did not sign.")
            keys.append(key.verified_for(self.chain, hop, announcement.round_number))
        return keys

    def build_upload(self) -> list[Message]:
        """Return the open round's write, once; nothing if there is no round to upload for.

        It is the upload, and before it, in the first write of a session and of a prekey period, the prekey.
        On return the round number and every stepped key are on disk, so this round can never be used again.
        Raises ``PeerError`` if the round cannot be one of this session.
        """
        current = self._round
        if current is None or current.built or self._channel is None:
            return []
        current.built = True
        number = current.context.round_number
        try:
            self._channel.advance(number // self.chain.epoch_rounds)
        except OnionError as error:
            raise PeerError("The server announced a round that its own key is not for.") from error
        self._last_used = number
        self._store.set("last_round", number)
        prekey = self._renew_prekey(number)
        active = self._active()
        requests: list[bytes] = []
        for slot in range(self.chain.slots):
            conversation = active[slot] if slot < len(active) else None
            requests += self._fill_slot(current, conversation)
        invitations = self._invitations(active, number) if current.announcement.has_invitations else []
        self.desk.save_all()
        upload = self._wrap(current, requests, invitations)
        self.desk.take_sent()
        self.desk.note_states()
        return [*prekey, upload]

    def _renew_prekey(self, number: int) -> list[Message]:
        # By the calendar and by connecting alone: nothing a person does may show in this.
        period = self.chain.period(number)
        public = self._own_prekeys.renew(period)
        self._store.set("prekeys", self._own_prekeys.to_state())
        if period == self._period_told:
            return []
        self._period_told = period
        prekey = Prekey.create(self.account.identity, self.directory, self.desk.position, period, public)
        return [Message(MessageKind.PREKEY, prekey.encode())]

    def _active(self) -> list[Conversation]:
        needing = [item for item in self.desk.conversations.values() if item.needs_slot]
        return sorted(needing, key=lambda item: not item.holds_slot)[: self.chain.slots]

    def _fill_slot(self, current: _Round, conversation: Conversation | None) -> list[bytes]:
        number = current.context.round_number
        posted = conversation.prepare(number, current.announcement.head) if conversation is not None else None
        if posted is not None and conversation is not None:
            current.slots.append((conversation, posted))
            return [drop + sealed for drop, sealed in zip(posted.keys.drop_ids, posted.sealed, strict=True)]
        drop_id = self._world.random_bytes(DROP_ID_SIZE)
        messages = tuple(self._world.random_bytes(PEER_MESSAGE_SIZE) for _ in range(ONIONS_PER_SLOT))
        current.slots.append(_Cover(messages))
        return [drop_id + message for message in messages]

    def _invitations(self, active: list[Conversation], number: int) -> list[bytes]:
        posted = [item.invitation(number, self._reach(item, number)) for item in active]
        real = [sealed for sealed in posted if sealed is not None]
        idle = self.chain.slots - len(real)
        return real + [cover_invitation(self._world.random_bytes) for _ in range(idle)]

    def _reach(self, conversation: Conversation, number: int) -> Reach:
        position = self.directory.position(conversation.peer.name)
        return Reach(self._prekeys.newest(position, self.chain.period(number)), self._own_prekeys.ids)

    def _wrap(self, current: _Round, requests: list[bytes], invitations: list[bytes]) -> Message:
        if self._channel is None:
            raise AssertionError("a round is built only in a session")
        sealed: dict[BatchKind, list[bytes]] = {kind: [] for kind in BatchKind}
        payloads = [(BatchKind.CONVERSATION, item) for item in requests]
        payloads += [(BatchKind.INVITATION, item) for item in invitations]
        for index, (kind, payload) in enumerate(payloads):
            onion, reply_keys = wrap(
                payload,
                current.hop_keys,
                self._geometry.suite,
                current.context,
                kind,
                self._world.random_bytes,
            )
            if kind is BatchKind.CONVERSATION:
                current.reply_keys.append(reply_keys)
            sealed[kind].append(self._channel.seal_up(current.context, kind, index, onion))
        return Upload(
            current.context.round_number,
            tuple(sealed[BatchKind.CONVERSATION]),
            tuple(sealed[BatchKind.INVITATION]),
            self.errands.pending,
        ).encode()

    def close_round(self, replies: Replies) -> None:
        """Take in a round's replies; those of another round than the open one are ignored."""
        current = self._round
        if current is None or not current.built or replies.round_number != current.context.round_number:
            return
        self._round = None
        done = replies.status is RoundStatus.DONE
        if current.announcement.has_invitations and replies.status is not RoundStatus.LOST:
            self._bundle_due = replies.round_number
        if replies.status is RoundStatus.MISSING:
            self._period_told = -1  # a prekey that went with it may not have arrived
        opened = [self._open(current, index, reply) for index, reply in enumerate(replies.replies)]
        clean = True
        for slot, used in enumerate(current.slots):
            mine = opened[slot * ONIONS_PER_SLOT : (slot + 1) * ONIONS_PER_SLOT]
            if isinstance(used, _Cover):
                clean = clean and tuple(mine) == used.messages[::-1]
            else:
                clean = self._gather(*used, mine if done else None) and clean
        self.desk.save_all()
        fate = RoundFate.LOST if not done else RoundFate.CLEAN if clean else RoundFate.TAMPERED
        self.desk.events.append(RoundClosed(current.context.round_number, fate))
        self.desk.note_states()

    def _open(self, current: _Round, index: int, sealed: bytes) -> bytes:
        try:
            if self._channel is None:
                return b""
            return open_reply(
                current.reply_keys[index], self._channel.open_down(current.context, index, sealed)
            )
        except OnionError:
            return b""

    def _gather(self, conversation: Conversation, posted: Posted, replies: list[bytes] | None) -> bool:
        gathered = conversation.gather(posted.keys.contexts_out[0].round_number, posted, replies)
        self.desk.take_in(conversation, gathered)
        for message in gathered.messages:
            self._compare_heads(conversation, message)
        return not gathered.altered

    def _compare_heads(self, conversation: Conversation, message: PeerMessage) -> None:
        """Take note if the peer was shown another directory; raise the alarm once it is proved."""
        if message.head_length < len(self.directory.digests):
            differs = self.directory.digests[message.head_length] != message.head_hash
            conversation.heads_differ = conversation.heads_differ or differs
        if message.kind is ContentKind.HEAD_PROOF and not self.desk.contacts.alarmed:
            self._check_proof(message.payload)

    def _check_proof(self, payload: bytes) -> None:
        head = Head.decode(payload)
        with suppress(ChainError):
            if len(payload) == self._geometry.head_size and head.length < len(self.directory.digests):
                head.verify(self.chain)
                if self.directory.digests[head.length] != head.digest:
                    self.desk.raise_alarm()
                    self.desk.events.append(
                        Notice(
                            "The servers showed your peer another list of people than you, and signed both. "
                            "Do not trust who is who here until the people who run them explain it.",
                            alarm=True,
                        )
                    )

    def take_bundle(self, bundle: Bundle) -> None:
        """Keep the bundle of a round that has just closed until the next announcement names it.

        Somebody who was shown a bundle of her own would begin a conversation alone, and be seen.
        """
        if bundle.round_number == self._bundle_due:
            self._bundle = bundle

    def _settle_bundle(self, announcement: Announcement) -> None:
        """Take in the bundle that came since the last announcement, if this one is the next round's.

        After a gap nobody can tell what the bundle was, and nobody begins anything. Raises ``ChainError``
        if it is not the one that this announcement, which every honest server has seen too, names.
        """
        bundle, self._bundle = self._bundle, None
        due_round, self._bundle_due = self._bundle_due, -1
        if announcement.round_number != due_round + 1:
            return
        shown = NO_BUNDLE if bundle is None else bundle.digest
        if shown != announcement.bundle_digest:
            raise ChainError(
                "The server showed other invitations than its chain agreed on. Somebody tries to find out "
                "who talks to whom: tell the people who run the servers."
            )
        if bundle is not None:
            self._open_bundle(bundle)
            self.desk.forget_asking(bundle.round_number, announcement.invite_every)

    def _open_bundle(self, bundle: Bundle) -> None:
        everything = frozenset(bundle.invitations)
        me = self.desk.me
        met: set[str] = set()
        for sealed in bundle.invitations:
            with suppress(InvitationError):
                caller, invitation = Invitation.open(
                    sealed, self.directory, self._own_prekeys.pairs, me, bundle.round_number
                )
                if caller.name != me.name and caller.name not in met:
                    met.add(caller.name)
                    self._meet(caller, invitation, everything)
        self._store.commit()
        self.desk.note_states()

    def _meet(self, caller: Entry, invitation: Invitation, everything: frozenset[bytes]) -> None:
        conversation = self.desk.conversations.get(caller.name)
        if conversation is None:
            unasked = invitation.kind is InvitationKind.TALK
        else:
            unasked = conversation.meet(invitation, everything)
            self.desk.save(conversation)
        if unasked:
            self.desk.invited(caller, invitation.bundle_round)
