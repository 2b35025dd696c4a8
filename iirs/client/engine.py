"""Everything a client decides, without a socket or a thread: announcement in, upload out, replies in.

The engine owns the rounds; ``messenger`` is what the person has to do with others, ``chain_view`` what is
believed of the chain. Whatever the person does, each announcement gets exactly one upload of constant size,
and nothing received changes when or whether it goes.

Order of a round: ``open_round`` -> ``build_upload`` (stores the stepped state, then returns bytes) ->
``close_round`` and, in invite rounds, ``chain_view.take_bundle``. ``stand_by`` comes instead while there are
no rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from iirs.client.account.account import Account, Environment, SessionStart
from iirs.client.account.account_change import AccountChanges
from iirs.client.account.own_prekeys import OwnPrekeys
from iirs.client.chain_view import ChainView
from iirs.client.conversation import Conversation
from iirs.client.conversation_values import InvitationPrekeys, Posted
from iirs.client.events import Event, EventLog, Notice, RoundClosed, RoundFate, RoundOpened, StandingBy
from iirs.client.keeping import Keeping
from iirs.client.messenger.context import Context
from iirs.client.messenger.messenger import Messenger
from iirs.client.open_round import Epoch, OpenRound, of_slot
from iirs.client.opening_bundle import OpeningBundle
from iirs.client.store.store import ClientStore
from iirs.client.text.translate import _
from iirs.errors import OnionError, PeerError, StoreError
from iirs.message import ContentKind, Message, MessageKind, PeerMessage
from iirs.onion import EntryChannel, RoundContext, channel_period, cover_invitation
from iirs.prekey import Prekey
from iirs.wire.accounts import Errand, ErrandKind
from iirs.wire.rounds import (
    Announcement,
    NoticeFlags,
    Replies,
    RoundStatus,
    Standby,
    announcement_hash,
)


class Engine:
    """One logged-in account. Not thread-safe: one owner thread; ``take_events`` hands out what happened."""

    def __init__(self, account: Account, store: ClientStore, environment: Environment) -> None:
        """Raises ``StoreError`` if the store does not open."""
        self.account = account
        self.chain = account.chain
        self._geometry = self.chain.geometry
        self._store = store
        self._random_bytes = environment.random_bytes
        self._events = EventLog()
        self.chain_view = ChainView(account, store)
        self._context = Context(account, store, self.chain_view.directory, environment, self._events)
        self.messenger = Messenger(self._context)
        self.slots = self.messenger.slots
        self.account_changes = AccountChanges.load(store, account.login_secret)
        self._channel: EntryChannel | None = None
        self.keeping = Keeping(store, self._events)
        self._restored = False
        self._must_discard = False
        """The keys in the file are not the newest, and that is not on the disk yet."""
        self._round: OpenRound | None = None
        self._epoch: Epoch | None = None
        self._last_announced = 0
        self._bundle: OpeningBundle | None = None
        self._has_worked = False
        """Whether what waits has had its share since the last announcement."""
        self._last_used = int(store.get("last_round", 0))
        self._own_prekeys = OwnPrekeys(self._kept_prekeys())
        self._period_told = -1

    def _kept_prekeys(self) -> object:
        with suppress(StoreError):
            return self._store.get("prekeys")
        return None

    # -- session ------------------------------------------------------------------------------------

    def begin_session(self, start: SessionStart) -> None:
        """Take in what login gave. Raises ``DirectoryError`` or ``ChainError`` if it is not to be trusted."""
        last_round = start.record.last_round
        if last_round >= self._rounds_around().stop:
            raise PeerError(
                "The server says this account was used in a round far ahead of this machine's clock. One of "
                "the clocks is or was wrong: if the time shown here is right, tell the server's owner."
            )
        grew = self.chain_view.begin_session(start)
        self._give_up_round()
        self._channel = start.channel
        self._period_told = -1
        self.chain_view.take_keys(start.epoch_keys)
        if last_round > self._last_used:  # used elsewhere, or this file is an old copy
            self._restored, self._must_discard = False, True
            self._last_used = last_round
        self.keeping.attempt(self._take_up)
        if grew:
            self.messenger.people_changed()

    def _take_up(self) -> None:
        """Go on from what the file has, unless that has been done, and tell what is known."""
        self._renew_stale()
        self.chain_view.keep_head()
        if not self._restored:
            self.messenger.restore(discard_keys=self._must_discard)
            self.slots.resume()
            self._restored = True
        self.slots.lose_agreements()
        self.messenger.tell_all()

    def _come_back(self) -> None:
        """As ``_take_up``, after the disk took nothing for a while; on return all is on it."""
        self._take_up()
        self._store.set("last_round", self._last_used)
        self._store.commit()
        self._must_discard = False

    def _renew_stale(self) -> None:
        """Make anew from the file what may be ahead of it."""
        if self.keeping.is_stale:
            self.messenger = Messenger(self._context)
            self.slots = self.messenger.slots
            self._restored = False
            self.keeping.is_stale = False

    def carry_out(self, command: Callable[[], object]) -> None:
        """Do what the person asks for, or nothing: raises ``StoreFullError`` if the disk does not take it."""
        self.keeping.run(self._renew_stale)
        self.keeping.run(command)

    def _rounds_around(self) -> range:
        return self.chain.rounds_around(self._context.now_ms() / 1000)

    # -- the person -----------------------------------------------------------------------------------

    @property
    def last_announced(self) -> int:
        """The round announced last."""
        return self._last_announced

    def take_events(self) -> list[Event]:
        """Return what happened since last asked, in order."""
        return self._events.take()

    def change_password(self, login_secret: bytes, make_vault: Callable[[bytes], bytes]) -> None:
        """Have the next uploads carry a new login secret, and the vault made for our directory entry."""
        self.account_changes.check_free()  # before a vault is written anywhere
        vault = make_vault(self._context.me.raw)
        self.account_changes.set(Errand(ErrandKind.NEW_PASSWORD, login_secret, vault))

    def delete_account(self) -> None:
        """Have the next uploads ask the server to delete the account."""
        self.account_changes.set(Errand(ErrandKind.DELETE))

    # -- rounds -------------------------------------------------------------------------------------

    def open_round(self, encoded: bytes, notice: NoticeFlags = NoticeFlags.NONE) -> Announcement:
        """Take in an announcement. Raises ``PeerError``, ``ChainError`` or ``DirectoryError`` to disconnect.

        A round is refused if we have used it before, or if it is more than an hour from our own clock.
        """
        announcement = Announcement.decode(encoded, self._geometry)
        number = announcement.round_number
        if number <= max(self._last_used, self._last_announced):
            raise PeerError("The server announced a round that is over. It may have lost its memory.")
        around = self._rounds_around()
        if number >= around.stop:
            raise PeerError(
                "The server's rounds are far ahead of this machine's clock. One of the two clocks is wrong: "
                "if the time shown here is right, tell the server's owner."
            )
        if number < around.start:
            raise PeerError(
                "The server's rounds are more than an hour behind this machine's clock. One of the two "
                "clocks is wrong, or somebody repeats old rounds: if the time shown here is right, tell the "
                "server's owner."
            )
        if not announcement.has_time_for_uploads(self.chain.round_ms):
            raise PeerError("The server gives a time for uploads that does not fit its rounds.")
        hop_keys = self.chain_view.keys_for(announcement)
        digest = announcement_hash(encoded)
        self.chain_view.take_place(announcement, digest)
        self._open_all_invitations()  # of an earlier bundle, if no upload was built for the last round
        bundle = self.chain_view.settle_bundle(announcement)
        if bundle is not None:
            self._bundle = OpeningBundle(bundle, announcement.invite_every)
            self.open_invitations()
        if self.chain_view.take_directory(announcement):
            self.messenger.people_changed()
        self._give_up_round()
        context = RoundContext(self.chain.chain_id, number, digest)
        if self._epoch is not None and self._epoch.setup_round != announcement.setup_round:
            self._epoch = None
        self._round = OpenRound(context, announcement, hop_keys, self._epoch)
        self._last_announced = number
        self.keeping.try_again(self._come_back)
        self.keeping.attempt(lambda: self._begin_round(number, notice))
        if NoticeFlags.LATE in notice:
            self._period_told = -1  # a prekey that went with it was in no round
            self._events.append(
                Notice(_("What was sent last reached the server too late; it is sent again."))
            )
        self._events.append(
            RoundOpened(
                number,
                announcement.collect_ms / 1000,
                min(announcement.online, announcement.head.length),
                announcement.invite_every,
                self.chain.round_ms / 1000,
            )
        )
        self.keeping.attempt(self.slots.note_states)
        return announcement

    def _begin_round(self, number: int, notice: NoticeFlags) -> None:
        self.chain_view.keep_head()
        self._work_once()
        self.slots.begin_round(number)
        if (told := self.account_changes.answered(notice)) is not None:
            self._events.append(told)

    def stand_by(self, standby: Standby) -> None:
        """Take in that there is no round for now. Nothing is left to upload for; all else stays as it is."""
        self._give_up_round()
        self.keeping.attempt(self._work_once)
        self.keeping.attempt(self._store.commit)
        self._events.append(StandingBy(standby.hop, self._geometry.hops))

    def _work_once(self) -> None:
        """Do what waits, if the replies just before this have not had it done."""
        if not self._has_worked:
            self.messenger.work()
        self._has_worked = False

    def _give_up_round(self) -> None:
        """Take a round that is still open as lost: its replies can come no more."""
        if self._round is not None:
            self._events.append(RoundClosed(self._round.context.round_number, RoundFate.LOST))
            self._round = None
            self._period_told = -1  # the upload may not have left, and the prekey with it

    def build_upload(self) -> list[Message]:
        """Return the open round's write, once; nothing if there is no round to upload for.

        It is the upload, and before it, in the first write of a session and of a prekey period, the prekey.
        On return the round number and every stepped key are on disk, so this round can never be used again;
        if the disk does not take them it is an upload of cover alone, which needs none.
        Raises ``PeerError`` if the round cannot be one of this session.
        """
        current = self._round
        if current is None or current.built or self._channel is None:
            return []
        current.built = True
        self._open_all_invitations()  # both who agree begin in the same round
        number = current.context.round_number
        try:
            self._channel.advance(channel_period(number))
        except OnionError as error:
            raise PeerError("The server announced a round that its own key is not for.") from error
        self._last_used = number
        prekey = self._renew_prekey(number)
        filled = self.keeping.attempt(lambda: self._fill(current, self.slots.active(), keep=True))
        if filled is None:
            filled = self._fill(current, [], keep=False)
        upload = current.build(
            *filled, self._channel, self._geometry, self._random_bytes, self.account_changes.pending
        )
        self._epoch = current.epoch
        self.keeping.attempt(self.messenger.take_sent)
        self.keeping.attempt(self.slots.note_states)
        return [*prekey, *upload.encode()]

    def _fill(
        self, current: OpenRound, active: list[Conversation], *, keep: bool
    ) -> tuple[list[bytes], list[bytes]]:
        """Return drop ids and invitations for a round; with ``keep`` all they need is on disk on return."""
        number = current.context.round_number
        drop_ids = current.fill(active, self.chain.slots, self._random_bytes)
        invitations = self._invitations(active, number) if current.announcement.has_invitations else []
        if keep:
            self._store.set("last_round", number)
            self._store.set("prekeys", self._own_prekeys.to_state())
            self.slots.save_all()
            self._must_discard = False
        return drop_ids, invitations

    def _renew_prekey(self, number: int) -> list[Message]:
        # By the calendar and by connecting alone: nothing a person does may show in this.
        period = self.chain.period(number)
        public = self._own_prekeys.renew(period)
        if period == self._period_told:
            return []
        self._period_told = period
        context = self._context
        prekey = Prekey.create(self.account.identity, context.directory, context.position, period, public)
        return [Message(MessageKind.PREKEY, prekey.encode())]

    def _invitations(self, active: list[Conversation], number: int) -> list[bytes]:
        posted = [item.invitation(number, self._prekeys_for(item, number)) for item in active]
        real = [sealed for sealed in posted if sealed is not None]
        idle = self.chain.slots - len(real)
        return real + [cover_invitation(self._random_bytes) for _ in range(idle)]

    def _prekeys_for(self, conversation: Conversation, number: int) -> InvitationPrekeys:
        return InvitationPrekeys(
            self.chain_view.prekey_of(conversation.peer.name, number), self._own_prekeys.ids
        )

    def close_round(self, replies: Replies) -> None:
        """Take in a round's replies; those of another round than the open one are ignored."""
        current = self._round
        if current is None or replies.round_number != current.context.round_number:
            return
        if current.announcement.has_invitations and replies.status is not RoundStatus.LOST:
            self.chain_view.expect_bundle(replies.round_number)  # also if our upload was not ready in time
        if not current.built:
            return
        self._round = None
        if replies.status is RoundStatus.MISSING:
            self._period_told = -1  # a prekey that went with it may not have arrived
        if replies.status is RoundStatus.NO_CIRCUITS and current.epoch is not None:
            current.epoch.refused = True
        opened = current.open(self._channel, replies.cells)
        arrived = opened if replies.has_answers else None
        kept = self.keeping.attempt(lambda: self._gather_all(current, arrived))
        clean = kept is not False and current.cover_came_back(opened)
        self._events.append(RoundClosed(current.context.round_number, current.fate(replies.status, clean)))
        self.keeping.attempt(self.slots.note_states)

    def _gather_all(self, current: OpenRound, opened: list[bytes] | None) -> bool:
        """Take in what the conversations got, ``None`` if the round was lost; return whether all is well."""
        fates = [
            self._gather(*used, None if opened is None else of_slot(opened, slot))
            for slot, used in enumerate(current.slots)
            if isinstance(used, tuple)
        ]
        self.messenger.work()
        self._has_worked = True
        self.slots.save_all()
        return all(fates)

    def _gather(self, conversation: Conversation, posted: Posted, replies: list[bytes] | None) -> bool:
        gathered = conversation.gather(posted.keys.contexts_out[0].round_number, posted, replies)
        self.messenger.take_in(conversation, gathered)
        for message in gathered.messages:
            self._compare_heads(conversation, message)
        return not gathered.altered

    def _compare_heads(self, conversation: Conversation, message: PeerMessage) -> None:
        """Take note if the peer was shown another directory; raise the alarm once it is proved."""
        if self.chain_view.differs(message):
            conversation.heads_differ = True
        is_proof = message.kind is ContentKind.HEAD_PROOF
        if is_proof and not self.messenger.contacts.alarmed and self.chain_view.proves_two(message.payload):
            self.messenger.raise_alarm()

    # -- invitations ----------------------------------------------------------------------------------

    def open_invitations(self) -> bool:
        """Try a few of the invitations that are left of a settled bundle; return whether there are more.

        The next upload needs all of them; until then there is time for other things between.
        """
        has_more = self.keeping.attempt(self._open_some)
        if has_more is None:
            self._bundle = None  # the disk takes nothing: whoever asked asks again
        return bool(has_more)

    def _open_some(self) -> bool:
        bundle = self._bundle
        if bundle is None:
            return False
        step = bundle.step(self.chain_view.directory, self._own_prekeys.pairs, self._context.me)
        for caller, invitation in step:
            self.slots.meet(caller, invitation, bundle.everything)
        if bundle.is_over:
            self._bundle = None
            self._store.commit()
            self.slots.note_states()
            self.slots.forget_asking(bundle.round_number, bundle.invite_every)
        return not bundle.is_over

    def _open_all_invitations(self) -> None:
        while self.open_invitations():
            pass
