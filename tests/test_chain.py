"""The chain file, root of trust, and the join link that names it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from iirs.chain import (
    DEFAULT_PORT,
    EPOCH_ROUNDS_MAX,
    MAX_HOPS,
    Hop,
    JoinLink,
    parse_chain,
    render_chain,
)
from iirs.errors import ChainError, ConfigError
from iirs.geometry import CHAIN_FILE_MAX
from iirs.noise import Noise
from iirs.suite import SUITES
from tests.builders import chain_values, make_chain

HOP = Hop("entry", "", bytes(range(32)))
FINGERPRINT = hashlib.sha256(b"chain").digest()


# -- the file ------------------------------------------------------------------------------------------


@given(
    suite=st.sampled_from(sorted(SUITES)),
    slots=st.integers(1, 16),
    round_ms=st.integers(10, 600_000),
    invite_every=st.integers(1, 1000),
    epoch_rounds=st.integers(1, EPOCH_ROUNDS_MAX),
    prekey_rounds=st.integers(1, 10_000_000),
    noise=st.builds(
        Noise, st.integers(0, 1000).map(lambda half: 2 * half), st.integers(0, 99), st.just(True)
    ),
    entry_certificate=st.binary(min_size=32, max_size=32),
    identities=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=MAX_HOPS, unique=True),
)
def test_a_chain_file_gives_back_the_values_it_was_made_of(identities: list[bytes], **values: Any) -> None:
    hops = tuple(
        Hop(f"hop{place}", f"host:{place}" if place else "", key) for place, key in enumerate(identities)
    )
    data = render_chain(hops=hops, **values)
    chain = parse_chain(data)
    if len(hops) == 1:  # there is no public key in its rounds that could be used less often
        values["epoch_rounds"] = 1
    assert {name: getattr(chain, name) for name in values} == values
    assert chain.hops == hops
    assert chain.chain_id == hashlib.sha256(data).digest()
    assert chain.fingerprint == chain.chain_id.hex()
    assert (chain.geometry.hops, chain.geometry.slots) == (len(hops), chain.slots)


def test_an_epoch_of_a_longer_chain_has_a_hundred_and_twenty_rounds_at_most() -> None:
    """A chain of one may say more, as it could before: its epochs have one round whatever it says."""
    two = (HOP, Hop("second", "host:1", bytes(32)))
    assert parse_chain(render_chain(**chain_values(hops=two, epoch_rounds=120))).epoch_rounds == 120
    with pytest.raises(ChainError, match="out of range"):
        parse_chain(render_chain(**chain_values(hops=two, epoch_rounds=121)))
    assert parse_chain(render_chain(**chain_values(epoch_rounds=100_000))).epoch_rounds == 1
    with pytest.raises(ChainError, match="out of range"):
        parse_chain(render_chain(**chain_values(epoch_rounds=100_001)))


def test_any_change_of_a_byte_makes_another_chain() -> None:
    data = render_chain(**chain_values())
    assert parse_chain(data).chain_id != parse_chain(data + b"\n").chain_id
    assert parse_chain(data).slots == parse_chain(data + b"\n").slots


@pytest.mark.parametrize(
    "changes",
    [
        {"slots": 0},
        {"slots": 17},
        {"slots": "true"},
        {"slots": "2.0"},
        {"slots": '"2"'},
        {"slots": -1},
        {"round_ms": 9},
        {"round_ms": 600_001},
        {"invite_every": 0},
        {"invite_every": 1001},
        {"epoch_rounds": 0},
        {"epoch_rounds": 100_001},
        {"prekey_rounds": 0},
        {"noise": Noise(3, 1, forced=True)},
        {"noise": Noise(-2, 1, forced=True)},
        {"noise": Noise(2, -1, forced=True)},
        {"hops": (HOP, HOP)},
        {"hops": (HOP, Hop("the same again", "host:1", HOP.identity))},
        {"hops": (HOP, Hop("later", "host:0", bytes(32)))},
        {"hops": (HOP, Hop("later", "host:65536", bytes(32)))},
        {"suite": "ROT13"},
        {"suite": ""},
        {"entry_certificate": bytes(31)},
        {"entry_certificate": bytes(33)},
        {"hops": ()},
        {"hops": (HOP,) * (MAX_HOPS + 1)},
        {"hops": (Hop("entry", "", bytes(31)),)},
        {"hops": (Hop('quote"', "", bytes(32)),)},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused(changes: dict[str, Any]) -> None:
    parse_chain(render_chain(**chain_values()))
    with pytest.raises(ChainError, match="damaged"):
        parse_chain(render_chain(**chain_values(**changes)))


GOOD = render_chain(**chain_values()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version = 1",
        GOOD.replace("slots = 2\n", ""),
        GOOD.replace("[[hop]]", "[hop]"),
        GOOD.replace("[[hop]]", "hop = 1\n[other]"),
        GOOD.replace('name = "entry"\n', ""),
        GOOD.replace("identity = ", "identity = 7 #"),
        GOOD.replace("slots = 2", "slots = 2\nslots = 2"),
        GOOD.replace("slots = 2", "slots = 2020-01-01"),
        GOOD.replace('"X25519"', "[1]"),
        GOOD + "x = " + "[" * 5000,
        GOOD + "x = " + "9" * 5000,
        "\ufeff" + GOOD,
        GOOD.replace('identity = "', 'identity = " '),
        GOOD.replace('name = "entry"', "name = 5"),
        GOOD.replace('name = "entry"', 'name = "\\u001b[2J"'),
        GOOD.replace('address = ""', 'address = "\\u009b2J"'),
    ],
    ids=range(17),
)
def test_a_chain_file_that_is_damaged_is_refused(text: str) -> None:
    with pytest.raises(ChainError, match="damaged"):
        parse_chain(text.encode())


def test_digits_of_a_chain_file_may_be_of_either_case_and_name_the_same_hop() -> None:
    identity = hashlib.sha256(b"hop").hexdigest()
    lower, capitals = (
        GOOD.replace(HOP.identity.hex(), written).encode() for written in (identity, identity.upper())
    )
    assert parse_chain(lower).hops == parse_chain(capitals).hops
    assert parse_chain(lower).chain_id != parse_chain(capitals).chain_id


TWO_HOPS = (HOP, Hop("later", "host:1", bytes(32)))


@pytest.mark.parametrize("noise", [Noise(0, 0), Noise(300_000, 3), Noise(10, 8), Noise(100, 7)], ids=str)
def test_noise_that_protects_nothing_is_refused_unless_forced(noise: Noise) -> None:
    values = chain_values(hops=TWO_HOPS)
    with pytest.raises(ChainError, match="protects nobody"):
        parse_chain(render_chain(**{**values, "noise": noise}))
    forced = Noise(noise.mu, noise.b, forced=True)
    assert parse_chain(render_chain(**{**values, "noise": forced})).noise == forced
    assert parse_chain(render_chain(**{**values, "noise": noise, "hops": (HOP,)})).noise == noise


def test_noise_that_protects_needs_no_forcing() -> None:
    chain = parse_chain(render_chain(**chain_values(hops=TWO_HOPS, noise=Noise(1000, 50))))
    assert chain.noise == Noise(1000, 50)
    assert chain.hops[1].host_and_port == ("host", 1)


def test_a_chain_file_of_another_version_or_too_long_is_refused() -> None:
    with pytest.raises(ChainError, match="version"):
        parse_chain(GOOD.replace("version = 1", "version = 2").encode())
    padded = GOOD.encode() + b"#" * (CHAIN_FILE_MAX - len(GOOD))
    assert parse_chain(padded).slots == 2
    with pytest.raises(ChainError, match="too long"):
        parse_chain(padded + b"#")


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_in_place_of_a_chain_file_are_refused(data: bytes) -> None:
    with pytest.raises(ChainError):
        parse_chain(data)


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3))
def test_a_chain_file_changed_anywhere_is_a_chain_or_refused(place: int, piece: bytes) -> None:
    changed = GOOD.encode()[:place] + piece + GOOD.encode()[place + 1 :]
    try:
        assert parse_chain(changed).chain_id == hashlib.sha256(changed).digest()
    except ChainError:
        return


# -- hops ----------------------------------------------------------------------------------------------


def test_a_hop_vouches_only_for_what_it_signed() -> None:
    keys = make_chain(2)
    signature = keys.identities[0].sign(b"head")
    keys.chain.hops[0].verify(signature, b"head")
    for hop, given_signature, data in (
        (0, signature, b"heap"),
        (1, signature, b"head"),
        (0, bytes(64), b"head"),
        (0, signature[:-1], b"head"),
        (0, b"", b"head"),
        (0, Ed25519PrivateKey.generate().sign(b"head"), b"head"),
    ):
        with pytest.raises(ChainError):
            keys.chain.hops[hop].verify(given_signature, data)


# -- the link ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"iirs://class.example:7000/#{FINGERPRINT.hex()}", JoinLink("class.example", 7000, FINGERPRINT)),
        (f"  iirs://10.0.0.7/#{FINGERPRINT.hex().upper()}\n", JoinLink("10.0.0.7", 12345, FINGERPRINT)),
        (f"iirs://[::1]:7000/#{FINGERPRINT.hex()}", JoinLink("::1", 7000, FINGERPRINT)),
        ("localhost", JoinLink("localhost", DEFAULT_PORT)),
        ("localhost:80", JoinLink("localhost", 80)),
        ("iirs://localhost:65535/", JoinLink("localhost", 65535)),
        ("LocalHost", JoinLink("localhost", DEFAULT_PORT)),
        ("localhost.", JoinLink("localhost", DEFAULT_PORT)),
        ("localhost...", JoinLink("localhost", DEFAULT_PORT)),
        ("localhost.:80", JoinLink("localhost", 80)),
        ("10.0.0.7.", JoinLink("10.0.0.7", DEFAULT_PORT)),
        (f"IIRS://CLASS.Example.:7000/#{FINGERPRINT.hex()}.", JoinLink("class.example", 7000, FINGERPRINT)),
        (f"<iirs://[::FFFF:1]:7000/#{FINGERPRINT.hex()}>", JoinLink("::ffff:1", 7000, FINGERPRINT)),
        (f"The link: iirs://a:1/#{FINGERPRINT.hex()}!", JoinLink("a", 1, FINGERPRINT)),
        (f"(iirs://a:1/%23{FINGERPRINT.hex()}).", JoinLink("a", 1, FINGERPRINT)),
        (f"\u00a0\u200biirs://a:1/#{FINGERPRINT.hex()}\ufeff", JoinLink("a", 1, FINGERPRINT)),
        (
            f"iirs://a:1/#\n{FINGERPRINT.hex()[:40]}\r\n {FINGERPRINT.hex()[40:]}",
            JoinLink("a", 1, FINGERPRINT),
        ),
    ],
)
def test_a_link_is_read_and_written_back(text: str, expected: JoinLink) -> None:
    assert JoinLink.parse(text) == expected
    assert JoinLink.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "https://localhost/",
        "iirs://",
        "iirs://host:0/",
        "iirs://host:65536/",
        "iirs://host:123456/",
        "iirs://host:port/",
        f"iirs://host/#{FINGERPRINT.hex()[:-1]}",
        f"iirs://host/#{FINGERPRINT.hex()}0",
        f"iirs://host/#{'g' * 64}",
        "iirs://host/#",
        "host..:80",
        "...",
        f"iirs://host/# {FINGERPRINT.hex()} and more",
        f"iirs://a/#{FINGERPRINT.hex()} iirs://b/#{FINGERPRINT.hex()}",
        f"iirs://host/ {FINGERPRINT.hex()}",
        f"iirs://host/#{FINGERPRINT.hex()[:40]}...",
        "iirs://host/path",
        "iirs://user@host/",
        "two words",
        "host\nother",
        "iirs://host:\uff11\uff12/",
        "höst",
    ],
)
def test_what_is_not_a_link_is_refused_with_an_example_of_one(text: str) -> None:
    with pytest.raises(ConfigError, match="iirs://host:12345/#"):
        JoinLink.parse(text)


@given(st.text(max_size=100))
def test_any_text_is_a_link_or_refused(text: str) -> None:
    try:
        link = JoinLink.parse(text)
    except ConfigError:
        return
    assert 0 < link.port < 65536


def test_a_link_with_a_fingerprint_accepts_that_chain_only() -> None:
    chain, other = make_chain().chain, make_chain().chain
    JoinLink("host", 1, chain.chain_id).check(chain.chain_id, None)
    with pytest.raises(ChainError, match="the join link names"):
        JoinLink("host", 1, chain.chain_id).check(other.chain_id, None)


def test_a_link_without_a_fingerprint_accepts_the_first_chain_and_then_only_that_one() -> None:
    chain, other = make_chain().chain, make_chain().chain
    link = JoinLink("host", 1)
    link.check(chain.chain_id, None)
    link.check(chain.chain_id, chain.chain_id)
    with pytest.raises(ChainError, match="was used before"):
        link.check(other.chain_id, chain.chain_id)


def test_link_and_pin_must_both_agree() -> None:
    chain, other = make_chain().chain, make_chain().chain
    with pytest.raises(ChainError, match="was used before"):
        JoinLink("host", 1, chain.chain_id).check(chain.chain_id, other.chain_id)
