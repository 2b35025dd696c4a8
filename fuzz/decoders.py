"""Any bytes from outside: each decoder gives a value or its one named error, and a value has one encoding.

The first byte of an input says which decoder, the second whether what follows is signed or sealed first, by
whoever would have to: so the fuzzer gets past the checks of authenticity, as their owner could. ``check`` is
for the fuzzer and for tests alike.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fuzz.work import bounded_work
from fuzz.world import Choices, chain_keys, directory, entry, fit, person, prekey_pair
from iirs.chain import JoinLink, parse_chain, render_chain
from iirs.circuit import Circuit, Layer, Way, initial_block
from iirs.client.account.own_prekeys import OwnPrekeys
from iirs.client.chat_session import ChatSession
from iirs.client.conversation import Conversation
from iirs.client.conversation_values import Me
from iirs.client.invitations import Invitation
from iirs.client.messenger.file_transfer import NAME_MAX as FILE_NAME_MAX
from iirs.client.messenger.group_item import GroupItem
from iirs.client.messenger.notes import FileOffer, GroupNote, decode_note, encode_note
from iirs.client.store.preferences import Preferences
from iirs.client.sync import DeadDropSync, patience_for
from iirs.client.text.display import displayable
from iirs.client.text.links import host_of, links_in, whole_link
from iirs.directory import Directory, Entry, Head, decode_name, encode_name
from iirs.epoch import EpochKey
from iirs.errors import (
    AccountError,
    ChainError,
    ConfigError,
    DirectoryError,
    InvitationError,
    OnionError,
    PeerError,
    PeerMessageError,
    StoreError,
)
from iirs.geometry import (
    ACCOUNT_SIZE,
    CELL_SIZE,
    CHAIN_FILE_MAX,
    CIRCUIT_SECRET_SIZE,
    ENTRY_SIZE,
    ERRAND_SIZE,
    INVITATION_PLAIN_SIZE,
    NAME_FIELD_SIZE,
    PEER_MESSAGE_SIZE,
    PREKEY_SIZE,
    REGISTER_SIZE,
    SIGNATURE_SIZE,
    SIGNING_KEY_SIZE,
    BatchKind,
)
from iirs.hexadecimal import hex_bytes
from iirs.message import (
    Direction,
    Limits,
    Message,
    MessageContext,
    MessageKeys,
    MessageKind,
    MessageReader,
    PeerMessage,
)
from iirs.onion import RoundContext, peel
from iirs.prekey import Prekey
from iirs.server.hops import link
from iirs.suite import HYBRID, X25519
from iirs.wire import limits as wire_limits
from iirs.wire.accounts import AccountRecord, Errand, Login, Registration, decode_directory, encode_directory
from iirs.wire.rounds import Announcement, Bundle, NoticeFlags, Replies, Standby, Upload

KEYS = chain_keys(3)
CHAIN, GEOMETRY = KEYS.chain, KEYS.chain.geometry
PEOPLE = directory(KEYS, "alice", "bob", "carol")
ALICE, BOB = (entry(KEYS, name) for name in ("alice", "bob"))
CONTEXT = MessageContext(bytes(16), 7, Direction.FROM_GENERATOR, 0)
MESSAGE_KEYS = MessageKeys(bytes(32), bytes(32))
PATIENCE = patience_for(CHAIN.epoch_rounds)

ENDS_CONNECTION = (DirectoryError, ChainError, PeerError)
"""What may come of a list of people that does not fit: each ends the connection."""
Errors = type[Exception] | tuple[type[Exception], ...]
_Value = TypeVar("_Value")


def value_of(
    data: bytes, decode: Callable[[bytes], _Value], errors: Errors, encode: Callable[[_Value], bytes]
) -> _Value | None:
    """Return the value of ``data``, which must be its one encoding; ``None`` for one of the named errors."""
    try:
        value = decode(data)
    except errors:
        return None
    assert encode(value) == data, "a value that has another encoding"
    return value


# -- between client and server ------------------------------------------------------------------------------

_LIMITS: tuple[Limits, ...] = (
    wire_limits.HELLO_LIMITS,
    wire_limits.client_limits(),
    wire_limits.session_limits(GEOMETRY),
    wire_limits.greeting_limits(GEOMETRY),
    wire_limits.upload_limits(GEOMETRY),
    dict.fromkeys(MessageKind, (0, 16)),
)


def frames(data: bytes, mode: int) -> None:
    """A stream, cut after ``mode`` bytes, is read as it is whole, and what was read is what came."""
    limits = _LIMITS[mode % len(_LIMITS)]
    whole, cut = _read([data], limits), _read([data[:mode], data[mode:]], limits)
    assert whole == cut, "where a stream is cut changes what is read"
    read, _ = whole
    assert data.startswith(b"".join(message.encode() for message in read))


def _read(parts: list[bytes], limits: Limits) -> tuple[list[Message], bool]:
    reader, read = MessageReader(limits), list[Message]()
    try:
        for part in parts:
            reader.feed(part)
            while (message := reader.next_message()) is not None:
                read.append(message)
    except PeerError:
        return read, False
    return read, True


def registration(data: bytes, mode: int) -> None:
    body = fit(data, REGISTER_SIZE)
    value = value_of(body, Registration.decode, (), lambda value: value.encode().body)
    assert value is not None
    with suppress(DirectoryError):
        Entry.parse(CHAIN.chain_id, value.entry)


def login(data: bytes, mode: int) -> None:
    value_of(fit(data, GEOMETRY.login_size), Login.decode, AccountError, lambda value: value.encode().body)


def account_record(data: bytes, mode: int) -> None:
    value_of(fit(data, ACCOUNT_SIZE), AccountRecord.decode, (), lambda value: value.encode().body)


def errand(data: bytes, mode: int) -> None:
    value_of(fit(data, ERRAND_SIZE), Errand.decode, PeerError, Errand.encode)


def name(data: bytes, mode: int) -> None:
    value_of(fit(data, NAME_FIELD_SIZE), decode_name, AccountError, encode_name)


def directory_body(data: bytes, mode: int) -> None:
    """DIRECTORY: as many entries as it says; signed by the chain, it is taken in or refused as a whole."""
    body = data.ljust(GEOMETRY.head_size + wire_limits.COUNT.size, b"\0")
    decoded = value_of(
        body,
        lambda body: decode_directory(body, GEOMETRY),
        PeerError,
        lambda value: encode_directory(*value).body,
    )
    if decoded is not None:
        head, entries, _ = decoded
        known = Directory(CHAIN.chain_id)
        with suppress(*ENDS_CONNECTION):
            known.extend(0, entries, KEYS.sign_head(head.length, head.digest) if mode else head, CHAIN)
            return
        assert len(known) == 0, "a directory that was refused was taken in"


def announcement(data: bytes, mode: int) -> None:
    body = fit(data, GEOMETRY.announcement_size)
    shown = value_of(body, lambda body: Announcement.decode(body, GEOMETRY), PeerError, Announcement.encode)
    if shown is None:
        return
    head = KEYS.sign_head(shown.head.length, shown.head.digest) if mode else shown.head
    before = len(PEOPLE)
    with suppress(*ENDS_CONNECTION):
        copy = directory(KEYS, "alice", "bob", "carol")
        copy.extend(shown.increment_start, shown.increment, head, CHAIN)
        assert len(copy) >= before
    for record in shown.prekeys:
        prekey(record, mode)


def notice(data: bytes, mode: int) -> None:
    value_of(fit(data, 1), lambda body: NoticeFlags.decode(body[0]), PeerError, lambda flags: bytes([flags]))


def standby(data: bytes, mode: int) -> None:
    value_of(
        fit(data, 1),
        lambda body: Standby.decode(body, GEOMETRY),
        PeerError,
        lambda value: value.encode().body,
    )


def upload(data: bytes, mode: int) -> None:
    """An UPLOAD and what ``mode`` says comes before it; all parts begin with one number, or with any."""
    sizes = {MessageKind.SETUP: GEOMETRY.setup_size, MessageKind.INVITE: GEOMETRY.invite_size}
    sizes = {kind: size for place, (kind, size) in enumerate(sizes.items()) if mode >> place & 1}
    body = fit(data, GEOMETRY.upload_size)
    before = {kind: fit(data[-size:] if mode & 4 else data[:8], size) for kind, size in sizes.items()}
    whole = b"".join([*before.values(), body])
    value = value_of(
        whole,
        lambda whole: Upload.decode(whole[-len(body) :], before, GEOMETRY),
        PeerError,
        lambda value: b"".join(message.body for message in value.encode()),
    )
    numbers = {part[:8] for part in (body, *before.values())}
    assert value is None or len(numbers) == 1, "parts of two uploads were taken for one"


def replies(data: bytes, mode: int) -> None:
    body = fit(data, GEOMETRY.replies_size)
    value_of(body, lambda body: Replies.decode(body, GEOMETRY), PeerError, lambda value: value.encode().body)


def bundle(data: bytes, mode: int) -> None:
    body = data
    if mode:  # as the last hop would sign it
        body = data.ljust(12 + SIGNATURE_SIZE, b"\0")
        count = (len(body) - GEOMETRY.bundle_size(0)) // (GEOMETRY.bundle_size(1) - GEOMETRY.bundle_size(0))
        body = body[: GEOMETRY.bundle_size(count)]
        unsigned = Bundle(int.from_bytes(body[:8]), (body[12:-SIGNATURE_SIZE],) if count else ())
        signature = KEYS.identities[-1].sign(unsigned.signed_content(CHAIN.chain_id))
        body = body[:8] + count.to_bytes(4) + body[12:-SIGNATURE_SIZE] + signature
    value = value_of(
        body, lambda body: Bundle.decode(body, CHAIN), (PeerError, ChainError), Bundle.encode_body
    )
    assert value is not None or not mode, "a bundle that the last hop signed was refused"


# -- what people and hops sign ------------------------------------------------------------------------------


def entry_record(data: bytes, mode: int) -> None:
    raw = data[: ENTRY_SIZE + 1]
    if mode:  # as alice would sign it
        content = fit(data, NAME_FIELD_SIZE) + person("alice").verify_key_bytes
        raw = content + person("alice").sign(b"iirs/1 directory entry" + CHAIN.chain_id + content)
        assert len(content) == NAME_FIELD_SIZE + SIGNING_KEY_SIZE
    value_of(raw, lambda raw: Entry.parse(CHAIN.chain_id, raw), DirectoryError, lambda value: value.raw)


def prekey(data: bytes, mode: int) -> None:
    record = fit(data, PREKEY_SIZE) if mode else data
    value = value_of(record, Prekey.decode, DirectoryError, Prekey.encode)
    if value is not None:
        if mode:
            value = Prekey.create(person("alice"), PEOPLE, 0, value.period, value.public)
        with suppress(DirectoryError):
            value.verify(CHAIN.chain_id, ALICE)
            HYBRID.seal(value.public_key, b"", b"")  # what was believed can be sealed to


def epoch_key(data: bytes, mode: int) -> None:
    value = value_of(fit(data, GEOMETRY.epoch_key_size), EpochKey.decode, (), EpochKey.encode)
    assert value is not None
    if mode:
        hop = mode % len(KEYS.identities)
        signature = KEYS.identities[hop].sign(value.signed_content(CHAIN.chain_id))
        value = EpochKey(value.hop, value.first_round, value.last_round, value.public_bytes, signature)
    with suppress(ChainError):
        X25519.seal(value.verified_for(CHAIN, mode % 3, value.first_round), b"", b"")


def head(data: bytes, mode: int) -> None:
    value = value_of(fit(data, GEOMETRY.head_size), Head.decode, (), Head.encode)
    assert value is not None
    with suppress(ChainError):
        value.verify(CHAIN)


# -- end to end ---------------------------------------------------------------------------------------------


def peer_message(data: bytes, mode: int) -> None:
    """1,024 bytes of a dead drop; with ``mode`` what is inside, signed and sealed by the peer."""
    sealed = data
    if mode:
        content = fit(data, PEER_MESSAGE_SIZE - 16 - 32 - SIGNATURE_SIZE)
        sealed = _sealed_content(content)
    with suppress(PeerMessageError):
        message = PeerMessage.open(sealed, MESSAGE_KEYS, CONTEXT, BOB.verify_key)
        again = message.seal(MESSAGE_KEYS, CONTEXT, person("bob"), lambda size: sealed[:size])
        assert PeerMessage.open(again, MESSAGE_KEYS, CONTEXT, BOB.verify_key) == message
        assert _inside(again) == _inside(sealed), "a peer message that has another encoding"


def _sealed_content(content: bytes) -> bytes:
    signature = person("bob").sign(b"iirs/1 peer message signature" + CONTEXT.encode() + content)
    encryptor = Cipher(algorithms.AES(MESSAGE_KEYS.encryption), modes.CBC(bytes(16))).encryptor()
    sealed = bytes(16) + encryptor.update(signature + content) + encryptor.finalize()
    label = b"iirs/1 peer message mac"
    return sealed + hmac.digest(MESSAGE_KEYS.authentication, label + CONTEXT.encode() + sealed, "sha256")


def _inside(sealed: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(MESSAGE_KEYS.encryption), modes.CBC(sealed[:16])).decryptor()
    return (decryptor.update(sealed[16:-32]) + decryptor.finalize())[SIGNATURE_SIZE:]


def invitation(data: bytes, mode: int) -> None:
    """What lies in dead drop 0; with ``mode`` what is inside, signed and sealed by bob for alice."""
    sealed = data
    if mode:
        content = fit(data, INVITATION_PLAIN_SIZE - SIGNATURE_SIZE)
        content, filling = content[:184], content[184:]
        label = b"iirs/1 invitation signature"
        signature = person("bob").sign(label + CHAIN.chain_id + BOB.fingerprint + ALICE.fingerprint + content)
        info = b"iirs/1 invitation" + CHAIN.chain_id + (0).to_bytes(8)
        public = HYBRID.load_public(prekey_pair("alice").public_bytes)
        sealed = HYBRID.seal(public, content + signature + filling, info)
    with suppress(InvitationError):
        caller, value = Invitation.open(sealed, PEOPLE, (prekey_pair("alice"),), ALICE, 0)
        assert caller == BOB
        again = value.seal(PEOPLE, person("bob"), ALICE, Prekey(0, 0, prekey_pair("alice").public_bytes, b""))
        assert Invitation.open(again, PEOPLE, (prekey_pair("alice"),), ALICE, 0) == (caller, value)
        assert not mode or (value.digest(), filling) == (_sha256(content), bytes(len(filling)))


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def note(data: bytes, mode: int) -> None:
    with suppress(PeerMessageError):
        value = decode_note(data)
        assert decode_note(encode_note(value)) == value
        if isinstance(value, FileOffer):
            kept = value.file.name
            assert 0 < len(kept) <= FILE_NAME_MAX + 1
            assert not {"/", "\\", "\n", "\0"} & set(kept)
        if isinstance(value, GroupNote):
            _group_item(value.value, mode)


def group_item(data: bytes, mode: int) -> None:
    """A group's item as JSON, or (with ``mode``) its fields as bytes: signed by bob."""
    with suppress(ValueError, RecursionError):
        value = json.loads(data)
        if isinstance(value, dict):
            _group_item(value, mode)


def _group_item(value: dict[str, Any], mode: int) -> None:
    if mode:
        value = _signed_item(value)
    with suppress(PeerMessageError):
        item = GroupItem.checked(value, PEOPLE)
        again = decode_note(encode_note(GroupNote(item.to_value())))
        assert isinstance(again, GroupNote)
        assert GroupItem.checked(again.value, PEOPLE) == item


def _signed_item(value: dict[str, Any]) -> dict[str, Any]:
    """Return the item as its author would sign it; one that founds a group is named as it must be."""
    names = ("group", "kind", "author", "id", "at", "text", "members", "seconds")
    content = {name: value.get(name) for name in names}
    if content["kind"] == "found":
        text = json.dumps({**content, "group": ""}, sort_keys=True).encode()
        content["group"] = _sha256(b"iirs/1 group id" + CHAIN.chain_id + text)[:16].hex()
    author = content["author"] if content["author"] in (0, 1, 2) else 1
    signed = b"iirs/1 group item" + CHAIN.chain_id + json.dumps(content, sort_keys=True).encode()
    return {**content, "signature": person(("alice", "bob", "carol")[author]).sign(signed).hex()}


# -- between hops -------------------------------------------------------------------------------------------


def link_frame(data: bytes, mode: int) -> None:
    """Header and body of any frame between two hops, from either side."""
    from_before = link.requests(GEOMETRY)
    answers = [
        link.answers(link.LinkKind.PREPARED, link.Prepared.size(GEOMETRY, 2)),
        link.answers(link.LinkKind.OPENED, 0),
        link.answers(link.LinkKind.RESULT, link.RESULT_SIZE),
    ]
    allowed = [from_before, *answers][mode % 4]
    try:
        kind, length = link.decode_header(fit(data, link.HEADER_SIZE), allowed)
    except PeerError:
        return
    body = fit(data[link.HEADER_SIZE :], length)
    assert link.Frame(kind, body).encode() == fit(data, link.HEADER_SIZE) + body
    _LINK_BODIES[kind](body)


def _prepare(body: bytes) -> None:
    value_of(body, link.Prepare.decode, PeerError, lambda value: value[0].encode(value[1]).body)


def _prepared(body: bytes) -> None:
    value = value_of(
        body, lambda body: link.Prepared.decode(body, GEOMETRY, 2), (), lambda value: value.encode().body
    )
    assert value is not None
    with suppress(ChainError):
        value.check(CHAIN, 1, link.Prepare(7, 7, bytes(32), 0), b"")


def _batch(body: bytes) -> None:
    value_of(body, link.BatchHeader.decode, PeerError, lambda value: value[0].encode(value[1]).body)


def _refused(body: bytes) -> None:
    value_of(
        body,
        lambda body: link.decode_refusal(body, range(1, 3)),
        PeerError,
        lambda error: link.encode_refusal(error).body,
    )


def _opening(body: bytes) -> None:
    value_of(body, link.decode_open, (), lambda value: link.encode_open(*value).body)


def _length(body: bytes) -> None:
    value_of(body, link.decode_length, (), lambda value: link.result_header(value).body)


_LINK_BODIES: dict[link.LinkKind, Callable[[bytes], None]] = {
    link.LinkKind.PREPARE: _prepare,
    link.LinkKind.PREPARED: _prepared,
    link.LinkKind.BEHIND: _length,
    link.LinkKind.OPEN: _opening,
    link.LinkKind.OPENED: lambda body: None,
    link.LinkKind.BATCH: _batch,
    link.LinkKind.RESULT: _length,
    link.LinkKind.REFUSED: _refused,
}


def onion(data: bytes, mode: int) -> None:
    """An onion as it reaches a hop; with ``mode`` what is inside, sealed to its epoch key."""
    context = RoundContext(CHAIN.chain_id, 7, bytes(32))
    pair = X25519.load_private(bytes(range(32)))
    sealed = data
    if mode:
        public = X25519.load_public(pair.public_bytes)
        sealed = X25519.seal(public, data, context.info(1, BatchKind.SETUP))
    with suppress(OnionError):
        secret, inner = peel(sealed, pair, X25519, context, 1, BatchKind.SETUP)
        assert (secret, inner) == (data[:CIRCUIT_SECRET_SIZE], data[CIRCUIT_SECRET_SIZE:])


def cell(data: bytes, mode: int) -> None:
    """A cell in a circuit of two hops: each takes off what was put on; it stays as long as it was."""
    secrets, number = (bytes(32), bytes([mode]) * 32), int.from_bytes(data[:8])
    sent, circuit = fit(data, CELL_SIZE), Circuit(secrets)
    there, back = circuit.wrap(number, sent), sent
    for secret in secrets:
        there = Layer(secret).apply(initial_block(number, Way.FORWARD), there)
    for secret in reversed(secrets):
        back = Layer(secret).apply(initial_block(number, Way.BACK), back)
    assert len(back) == CELL_SIZE
    assert there == circuit.unwrap(number, back) == sent, "a cell is another at its end"


# -- texts that a person or a server gives ------------------------------------------------------------------


def chain_file(data: bytes, mode: int) -> None:
    """A chain file: what is accepted keeps its values if it is written anew."""
    with suppress(ChainError):
        chain = parse_chain(data[: CHAIN_FILE_MAX + 1])
        assert chain.geometry.upload_size > 0
        if not any(set(hop.name + hop.address) & {'"', "\\"} for hop in chain.hops):
            fields = ("suite", "slots", "round_ms", "invite_every", "epoch_rounds", "entry_certificate")
            values = {name: getattr(chain, name) for name in (*fields, "hops", "prekey_rounds", "noise")}
            again = parse_chain(render_chain(**values))
            assert {name: getattr(again, name) for name in values} == values


def join_link(data: bytes, mode: int) -> None:
    """A link that is typed, pasted, or read from a QR code."""
    text = data.decode("utf-8", "surrogateescape" if mode else "replace")
    with suppress(ConfigError):
        value = JoinLink.parse(text)
        assert JoinLink.parse(str(value)) == value


def shown_text(data: bytes, mode: int) -> None:
    """A stranger's text: what is shown stays as it is, and a link goes where it says."""
    text = displayable(data.decode("utf-8", "surrogateescape" if mode else "replace"))
    assert displayable(text) == text
    for address in links_in(text):
        assert host_of(whole_link(address)) == host_of(address) != ""


def hexadecimal(data: bytes, mode: int) -> None:
    value_of(
        data,
        lambda data: hex_bytes(data.decode(), len(data) // 2),
        ValueError,
        lambda value: value.hex().encode(),
    )


def preferences(data: bytes, mode: int) -> None:
    value = Preferences.decode(data)
    assert Preferences.decode(value.encode()) == value


def stored_state(data: bytes, mode: int) -> None:
    """States as a store may hold them, damaged: a state or the error that begins anew."""
    with suppress(ValueError, RecursionError):
        state = json.loads(data)
        OwnPrekeys(state)
        if isinstance(state, dict):
            _load_state(state, mode)


def _load_state(state: dict[str, Any], mode: int) -> None:
    with suppress(StoreError):
        if mode % 3 == 0:
            sync = DeadDropSync.from_state(state, PATIENCE)
            assert DeadDropSync.from_state(sync.to_state(), PATIENCE).to_state() == sync.to_state()
        elif mode % 3 == 1:
            chat = ChatSession(bytes, lambda _: False, state=state)
            assert ChatSession(bytes, lambda _: False, state=chat.to_state()).to_state() == chat.to_state()
        else:
            me = Me(ALICE, 0, person("alice"), PEOPLE, 2000, PATIENCE, bytes, lambda: 0)
            chat = ChatSession(bytes, lambda _: False)
            conversation = Conversation(me, BOB, chat, state)
            kept = conversation.to_state()
            assert Conversation(me, BOB, chat, kept).to_state() == kept


DECODERS: tuple[Callable[[bytes, int], None], ...] = (
    frames, registration, login, account_record, errand, name, directory_body, announcement, notice, standby,
    upload, replies, bundle, entry_record, prekey, epoch_key, head, peer_message, invitation, note,
    group_item, link_frame, onion, cell, chain_file, join_link, hexadecimal, preferences, stored_state,
    shown_text,
)  # fmt: skip
"""Their places are in the kept inputs: new ones go to the end."""


def check(data: bytes) -> None:
    """Have one decoder read an input. Raises whatever it should not."""
    choices = Choices(data)
    decoder, mode = choices.one_of(DECODERS), choices.number()
    rest = choices.rest()
    with bounded_work(len(rest)):
        decoder(rest, mode)
