"""The chain file, the directory, and what is said before a session."""

from __future__ import annotations

from collections.abc import Callable

from iirs.chain import Chain, JoinLink, parse_chain
from iirs.client.account import password_keys
from iirs.client.account.password_keys import PasswordKeys, StretchCost, stretch
from iirs.client.messenger import safety_number as safety
from iirs.directory import Entry, Head
from iirs.epoch import EpochKey
from iirs.errors import PeerError
from iirs.identity import Identity
from iirs.message import (
    MessageKind,
)
from iirs.prekey import Prekey
from iirs.wire import accounts, limits
from tests.vectors.by_code.common import Values, directory_of, fields_of, message_in, said


def read_chain(file: str) -> Values:
    chain = parse_chain(file.encode())
    names = ("chain_id", "suite", "slots", "round_ms", "invite_every", "epoch_rounds", "prekey_rounds")
    noise = chain.noise
    return {
        **{name: getattr(chain, name) for name in names},
        **{"noise_mu": noise.mu, "noise_b": noise.b, "noise_forced": noise.forced},
        "entry_certificate": chain.entry_certificate,
        "hops": [{"name": hop.name, "address": hop.address, "identity": hop.identity} for hop in chain.hops],
    }


def read_link(link: str) -> Values:
    parsed = JoinLink.parse(link)
    return {"host": parsed.host, "port": parsed.port, "fingerprint": parsed.fingerprint or b""}


def read_entry(chain_id: bytes, entry: bytes) -> Values:
    parsed = Entry.parse(chain_id, entry)
    return {"name": parsed.name, "key": parsed.verify_key.raw, "fingerprint": parsed.fingerprint}


def directory_digests(chain_id: bytes, entries: list[bytes]) -> Values:
    return {"digests": directory_of(chain_id, entries).digests}


def _head(chain: Chain, data: bytes) -> Head:
    if len(data) != chain.geometry.head_size:
        raise PeerError("the reader of the frame refuses this length")
    head = Head.decode(data)
    head.verify(chain)
    return head


def read_head(file: str, head: bytes) -> Values:
    parsed = _head(parse_chain(file.encode()), head)
    return {"length": parsed.length, "digest": parsed.digest}


def extend_directory(file: str, held: list[bytes], start: int, entries: list[bytes], head: bytes) -> Values:
    chain = parse_chain(file.encode())
    directory = directory_of(chain.chain_id, held)
    directory.extend(start, entries, _head(chain, head), chain)
    return {"length": len(directory), "digest": directory.digests[-1]}


def read_prekey(chain_id: bytes, entry: bytes, record: bytes) -> Values:
    prekey = Prekey.decode(record)
    prekey.verify(chain_id, Entry.parse(chain_id, entry))
    place = {"position": prekey.position, "period": prekey.period}
    return {**place, "public": prekey.public, "prekey_id": prekey.key_id}


def safety_number(
    chain_id: bytes, name: str, fingerprint: bytes, peer: str, peer_fingerprint: bytes
) -> Values:
    digits = safety.safety_number(chain_id, name, fingerprint, peer, peer_fingerprint)
    return {"digits": digits, "groups": safety.grouped(digits)}


def stretch_password(
    chain_id: bytes, name: str, password: str, memory_kib: int, passes: int, lanes: int
) -> Values:
    keys = stretch(chain_id, name, password, StretchCost(memory_kib, passes, lanes))
    return {"login_secret": keys.login_secret, "vault_key": keys.vault_key}


def seal_vault(vault_key: bytes, name: str, entry: bytes, private: bytes, nonce: bytes) -> Values:
    keys, identity = PasswordKeys(b"", vault_key), Identity.from_bytes(private)
    return {"vault": password_keys.seal_vault(keys, name, identity, entry, lambda _: nonce)}


def open_vault(vault_key: bytes, name: str, entry: bytes, vault: bytes) -> Values:
    return {"private": password_keys.open_vault(PasswordKeys(b"", vault_key), name, entry, vault).to_bytes()}


def login_ticket(chain_id: bytes, vault: bytes) -> Values:
    return {"ticket": accounts.login_ticket(chain_id, vault)}


def read_register(chain_id: bytes, frame: bytes) -> Values:
    size = (limits.REGISTER_SIZE, limits.REGISTER_SIZE)
    registration = accounts.Registration.decode(message_in(frame, {MessageKind.REGISTER: size}).body)
    name = Entry.parse(chain_id, registration.entry).name
    return {"name": name, **fields_of(registration)}


def read_login(file: str, frame: bytes) -> Values:
    geometry = parse_chain(file.encode()).geometry
    allowed = {MessageKind.LOGIN: limits.greeting_limits(geometry)[MessageKind.LOGIN]}
    return fields_of(accounts.Login.decode(message_in(frame, allowed).body))


def read_account(frame: bytes) -> Values:
    size = (limits.ACCOUNT_SIZE, limits.ACCOUNT_SIZE)
    return fields_of(accounts.AccountRecord.decode(message_in(frame, {MessageKind.ACCOUNT: size}).body))


def read_directory(file: str, frame: bytes) -> Values:
    chain, message = said(file, frame, MessageKind.DIRECTORY)
    head, entries, prekeys = accounts.decode_directory(message.body, chain.geometry)
    head.verify(chain)
    hashes = [EpochKey(0, 0, 0, prekey, b"").key_id for prekey in prekeys]
    return {"length": head.length, "digest": head.digest, "entries": entries, "prekey_hashes": hashes}


OPERATIONS: dict[str, Callable[..., Values]] = {
    function.__name__: function
    for function in (
        directory_digests,
        extend_directory,
        login_ticket,
        open_vault,
        read_account,
        read_chain,
        read_directory,
        read_entry,
        read_head,
        read_link,
        read_login,
        read_prekey,
        read_register,
        safety_number,
        seal_vault,
        stretch_password,
    )
}
