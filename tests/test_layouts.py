"""The byte tables and sizes in the documents: they add up, and are those of the code."""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Callable
from itertools import product

import pytest

from iirs import PROTOCOL_VERSION, geometry, message, tls
from iirs.client import invitations
from iirs.client.net.upload_clock import MARGIN_SHARE
from iirs.geometry import BatchKind, Geometry
from iirs.server.hops import link
from iirs.server.hops.link import LinkKind
from iirs.suite import HYBRID, SUITES, X25519
from tests.documents import GEOMETRIES, LINKS, PROTOCOL, SPECIFICATION, break_it, page, section, table, tables

# -- layouts ------------------------------------------------------------------------------------------

FRAMES: dict[str, Callable[[Geometry], int]] = {
    "HELLO": lambda g: geometry.HELLO_SIZE,
    "RESULT": lambda g: geometry.RESULT_SIZE,
    "CLOSE": lambda g: geometry.CLOSE_SIZE,
    "STANDBY": lambda g: geometry.STANDBY_SIZE,
    "KEYS": lambda g: g.keys_size,
    "REGISTER": lambda g: geometry.REGISTER_SIZE,
    "LOGIN": lambda g: g.login_size,
    "ACCOUNT": lambda g: geometry.ACCOUNT_SIZE,
    "ANNOUNCE": lambda g: 1 + g.announcement_with(LETTERS["r"], LETTERS["q"]),
    "UPLOAD": lambda g: g.upload_size,
    "INVITE": lambda g: g.invite_size,
    "SETUP": lambda g: g.setup_size,
    "REPLIES": lambda g: g.replies_size,
    "CHAIN": lambda g: LETTERS["L"],
    "DIRECTORY": lambda g: (
        g.head_size + 4 + LETTERS["d"] * geometry.ENTRY_SIZE + LETTERS["p"] * geometry.PREKEY_SIZE
    ),
    "PREKEY": lambda g: geometry.PREKEY_SIZE,
    "BUNDLE": lambda g: g.bundle_size(LETTERS["c"]),
}
LAYOUTS: dict[str, Callable[[Geometry], int]] = {
    **FRAMES,
    "FRAME": lambda g: message.HEADER_SIZE,
    "ANNOUNCEMENT": lambda g: g.announcement_with(LETTERS["r"], LETTERS["q"]),
    "VAULT": lambda g: geometry.VAULT_SIZE,
    "ERRAND": lambda g: geometry.ERRAND_SIZE,
    "EPOCH_KEY": lambda g: g.epoch_key_size,
    "LAYER_INFO": lambda g: 86,
    "NAME": lambda g: geometry.NAME_FIELD_SIZE,
    "ENTRY": lambda g: geometry.ENTRY_SIZE,
    "HEAD": lambda g: g.head_size,
    "INVITATION": lambda g: geometry.INVITATION_SIZE,
    "INVITATION_PLAIN": lambda g: geometry.INVITATION_PLAIN_SIZE,
    "PEER_MESSAGE": lambda g: geometry.PEER_MESSAGE_SIZE,
    "CONTEXT": lambda g: 26,
    "PEER_CONTENT": lambda g: message._PLAIN_SIZE,
    "LINK_PREPARE": lambda g: len(
        link.Prepare(0, 0, bytes(32), 0, (bytes(geometry.ENTRY_SIZE),) * LETTERS["m"]).encode(0).body
    ),
    "LINK_PREPARED": lambda g: link.Prepared.size(g, LETTERS["t"]),
    "LINK_BEHIND": lambda g: len(link.BehindError(1, 0).encode().body),
    "LINK_OPEN": lambda g: 4 + g.announcement_with(LETTERS["r"], LETTERS["q"]),
    "LINK_BATCH": lambda g: len(link.BatchHeader(0, BatchKind.CELL, 0).encode(0).body),
    "LINK_CHUNK": lambda g: len(next(link.chunks([bytes(LETTERS["b"])])).body),
    "LINK_RESULT": lambda g: link.RESULT_SIZE,
    "LINK_REFUSED": lambda g: len(link.encode_refusal(link.RefusedError(1, link.Refusal.KEY)).body),
}
LETTERS = {"L": 900, "d": 7, "p": 5, "c": 16, "t": 2, "m": 3, "b": 700, "r": 32, "q": 4}
LAYOUT = re.compile(r"^\*\*Layout ([A-Z_]+): `([^`]+)` bytes\*\*.*\n\n((?:\|.*\|\n)+)", flags=re.M)


def evaluate(formula: str, chain: Geometry) -> int:
    """Return the value of a formula over the letters of section 1."""
    letters = {
        "n": chain.hops,
        "s": chain.slots,
        "P": chain.suite.public_size,
        "E": chain.suite.overhead,
        **LETTERS,
    }
    tree = ast.parse(formula, mode="eval")
    allowed = (ast.Expression, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Name, ast.Load, ast.Constant)
    assert all(isinstance(node, allowed) for node in ast.walk(tree)), f"not a formula: {formula}"
    return int(eval(compile(tree, "formula", "eval"), {"__builtins__": {}}, letters))  # noqa: S307  # walked above


def check_layouts(text: str) -> None:
    """Each layout has no gap, adds up, and has the code's size, for four kinds of chain."""
    found = {name: (total, rows) for name, total, rows in LAYOUT.findall(text)}
    assert found.keys() == LAYOUTS.keys()
    for (name, (total, block)), chain in product(found.items(), GEOMETRIES):
        place = 0
        for offset, size, _ in table(block, "offset", "size", "field"):
            assert evaluate(offset.strip("`"), chain) == place, f"{name}: a gap before {offset}"
            place += evaluate(size.strip("`"), chain)
        assert place == evaluate(total, chain) == LAYOUTS[name](chain), f"{name} does not add up"


def test_every_layout_adds_up_to_the_size_the_code_has() -> None:
    check_layouts(SPECIFICATION)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| `129` | `32 + E` | offer", "| `129` | `33 + E` | offer"),
        ("| `65` | `32` | ticket", "| `64` | `32` | ticket"),
        ("**Layout HEAD: `36 + 64 * n` bytes**", "**Layout HEAD: `37 + 64 * n` bytes**"),
        ("**Layout CLOSE:", "**Layout SHUT:"),
        ("**Layout LINK_PREPARED: `t * (145 + P)`", "**Layout LINK_PREPARED: `t * (144 + P)`"),
        ("| `13` | `4` | how many", "| `13` | `8` | how many"),
        ("| `60` | `130 * m` | entries", "| `60` | `131 * m` | entries"),
    ],
)
def test_a_layout_that_does_not_add_up_is_caught(old: str, new: str) -> None:
    with pytest.raises(AssertionError):
        check_layouts(break_it(SPECIFICATION, old, new))


def fields_of(text: str, layout: str) -> list[tuple[int, str]]:
    """Return size and first word of each field of a layout with plain numbers."""
    block = next(rows for name, _, rows in LAYOUT.findall(text) if name == layout)
    rows = [(size.strip("`"), field) for _, size, field in table(block, "offset", "size", "field")]
    return [(int(size), field.split()[0].strip(":,")) for size, field in rows if size.isdigit()]


def check_fields(text: str) -> None:
    """The fields of peer messages and invitations stand in the order and sizes of the code's structs."""
    written = fields_of(text, "PEER_CONTENT")[1:-2]
    names = list(message._FIELD_NAMES)
    assert [name for _, name in written] == names
    codes = re.findall(r"\d+s|[A-Z]", message._FIELDS.format)[:-1]
    assert [size for size, _ in written] == [struct.calcsize(f">{code}") for code in codes]
    inner = fields_of(text, "INVITATION_PLAIN")[:-2]
    codes = re.findall(r"\d+s|[A-Z]", invitations._FIELDS.format)
    assert [size for size, _ in inner] == [struct.calcsize(f">{code}") for code in codes]
    for layout, packed in (("LINK_PREPARE", link._PREPARE), ("LINK_BATCH", link._BATCH)):
        sizes = [struct.calcsize(f">{code}") for code in re.findall(r"\d+s|[A-Z]", packed.format)]
        assert [size for size, _ in fields_of(text, layout)] == sizes


def test_peer_messages_and_invitations_are_laid_out_as_in_the_code() -> None:
    check_fields(SPECIFICATION)


def test_fields_in_another_order_are_caught() -> None:
    with pytest.raises(AssertionError):
        check_fields(
            break_it(SPECIFICATION, "| `118` | `8` | renewal_round |", "| `118` | `8` | renewal_number |")
        )
    with pytest.raises(AssertionError):
        check_fields(
            break_it(SPECIFICATION, "| `94` | `8` | bundle round k |", "| `94` | `4` | bundle round k |")
        )
    with pytest.raises(AssertionError):
        check_fields(break_it(SPECIFICATION, "| `52` | `4` | base", "| `52` | `8` | base"))


def check_versions(text: str) -> None:
    """The version stands in HELLO and ANNOUNCEMENT, and is the code's."""
    found = re.findall(r"protocol version: (\d+) \|", text)
    assert found == [str(PROTOCOL_VERSION)] * 2


def test_the_protocols_version_is_the_codes_wherever_it_stands() -> None:
    check_versions(PROTOCOL)
    current = f"protocol version: {PROTOCOL_VERSION} |"
    with pytest.raises(AssertionError):
        check_versions(break_it(PROTOCOL, current, "protocol version: 1 |"))


def check_frames(layouts: set[str]) -> None:
    """Every kind of frame has its layout, between client and server and on links."""
    assert FRAMES.keys() == {kind.name for kind in message.MessageKind}
    links = {name.removeprefix("LINK_") for name in layouts if name.startswith("LINK_")}
    assert links == {kind.name for kind in LinkKind} - {"OPENED"}  # it has no body


def test_every_kind_of_frame_has_a_layout() -> None:
    names = {name for name, _, _ in LAYOUT.findall(SPECIFICATION)}
    check_frames(names)
    with pytest.raises(AssertionError):
        check_frames(names - {"LINK_BEHIND"})


def test_what_hops_say_to_each_other_is_laid_out_in_its_own_document() -> None:
    assert all(name.startswith("LINK_") for name, _, _ in LAYOUT.findall(LINKS))
    assert not any(name.startswith("LINK_") for name, _, _ in LAYOUT.findall(PROTOCOL))


# -- sizes --------------------------------------------------------------------------------

FIXED = {
    "peer message": geometry.PEER_MESSAGE_SIZE,
    "payload of a peer message": message.PAYLOAD_MAX,
    "cell": geometry.CELL_SIZE,
    "dead-drop id": geometry.DROP_ID_SIZE,
    "directory entry": geometry.ENTRY_SIZE,
    "prekey": geometry.PREKEY_SIZE,
    "name field": geometry.NAME_FIELD_SIZE,
    "vault": geometry.VAULT_SIZE,
    "invitation, plain": geometry.INVITATION_PLAIN_SIZE,
    "invitation, sealed": geometry.INVITATION_SIZE,
    "frame header": message.HEADER_SIZE,
    "TLS record overhead": tls.RECORD_OVERHEAD,
    "chain file, at most": geometry.CHAIN_FILE_MAX,
    "errand": geometry.ERRAND_SIZE,
    "HELLO": geometry.HELLO_SIZE,
    "RESULT": geometry.RESULT_SIZE,
    "CLOSE": geometry.CLOSE_SIZE,
    "STANDBY": geometry.STANDBY_SIZE,
    "ACCOUNT": geometry.ACCOUNT_SIZE,
    "REGISTER": geometry.REGISTER_SIZE,
}
FRAME = message.HEADER_SIZE


def up(g: Geometry, *before: int) -> int:
    """TCP payload of an upload, with bodies of these sizes before it in the same write."""
    return tls.on_the_wire(sum(FRAME + size for size in (*before, g.upload_size)))


DERIVED: dict[str, Callable[[Geometry], int]] = {
    "setup onion, as uploaded": lambda g: g.uploaded_size(BatchKind.SETUP),
    "invitation onion, as uploaded": lambda g: g.uploaded_size(BatchKind.INVITATION),
    "cell, as uploaded or received": lambda g: g.uploaded_size(BatchKind.CELL),
    "UPLOAD": lambda g: g.upload_size,
    "SETUP": lambda g: g.setup_size,
    "INVITE": lambda g: g.invite_size,
    "REPLIES": lambda g: g.replies_size,
    "ANNOUNCE": lambda g: g.announce_size,
    "HEAD": lambda g: g.head_size,
    "KEYS": lambda g: g.keys_size,
    "LOGIN": lambda g: g.login_size,
    "BUNDLE of 8 invitations": lambda g: g.bundle_size(8),
    "TCP payload up, plain round": up,
    "TCP payload up, setup round": lambda g: up(g, g.setup_size),
    "TCP payload up, invitation round": lambda g: up(g, g.invite_size),
    "TCP payload up, setup round with invitations": lambda g: up(g, g.setup_size, g.invite_size),
    "TCP payload up, more with a prekey, at least": lambda g: FRAME + geometry.PREKEY_SIZE,
    "TCP payload down, plain round": lambda g: tls.on_the_wire(2 * FRAME + g.replies_size + g.announce_size),
    "TCP payload down, round with a bundle of 8": lambda g: tls.on_the_wire(
        3 * FRAME + g.replies_size + g.bundle_size(8) + g.announce_size
    ),
}


def check_sizes(text: str) -> None:
    """Both tables of section 14 name every size there is, with the code's value."""
    sizes = section(text, "14. Sizes")
    assert {name: int(size) for name, size in table(sizes, "name", "bytes")} == FIXED
    for header, rows in tables(sizes):
        if len(header) != 1 + len(GEOMETRIES):
            continue
        chains = [heading.split(", ") for heading in header[1:]]
        wanted = [Geometry(SUITES[suite], int(hops.split()[0]), 2) for hops, suite in chains]
        assert {name: [int(size) for size in cells] for name, *cells in rows} == {
            name: [size(chain) for chain in wanted] for name, size in DERIVED.items()
        }
        assert wanted == sorted(wanted, key=lambda chain: chain.suite is X25519)
        return
    raise AssertionError("the table of derived sizes is gone")


def test_every_size_quoted_is_the_codes() -> None:
    check_sizes(PROTOCOL)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| vault | 60 |", "| vault | 61 |"),
        ("| vault | 60 |\n", ""),
        ("| TCP payload up, setup round | 4429 | 13773 |", "| TCP payload up, setup round | 4429 | 13696 |"),
        ("| LOGIN | 1297 | 1297 | 209 | 209 |", "| LOGIN | 1297 | 1297 | 209 | 210 |"),
        ("| name | 1 hop, MLKEM768_X25519 |", "| name | 2 hop, MLKEM768_X25519 |"),
    ],
)
def test_a_wrong_or_missing_size_is_caught(old: str, new: str) -> None:
    with pytest.raises(AssertionError):
        check_sizes(break_it(PROTOCOL, old, new))


THREATS = page("docs/threat-model.md")


def check_figures(text: str) -> None:
    """The figures of the threat model, for a chain of one and a chain of three, are the code's."""
    header = "online, up a round, up with invitations, down a round, down with a bundle, down, average"
    rows = table(text, *re.split(r", (?!average)", header))
    assert len(rows) == 4
    for online, up, up_invite, down, down_bundle, _ in rows:
        chain = Geometry(HYBRID, 1, 2)
        count = geometry.padded_invitations(int(online) * chain.slots)
        # Every round of a chain of one is a setup round.
        sizes = payloads(chain, "up, setup round", "up, setup round with invitations", "down, plain round")
        bundle = tls.on_the_wire(
            3 * FRAME + chain.replies_size + chain.bundle_size(count) + chain.announce_size
        )
        assert [up, up_invite, down] == [f"{size:,}" for size in sizes]
        assert down_bundle.split(" ")[0] == f"{bundle:,}"
    three = re.search(
        r"chain of\s+three, .*?, ([\d,]+) bytes go up.*?([\d,]+) in the setup.*?([\d,]+) with.*?"
        r"([\d,]+) come down.*?([\d,]+) more",
        text,
        re.S,
    )
    assert three is not None
    chain = Geometry(HYBRID, 3, 2)
    rounds = ("up, plain round", "up, setup round", "up, invitation round", "down, plain round")
    wanted = [*payloads(chain, *rounds), FRAME + chain.keys_size]
    assert list(three.groups()) == [f"{size:,}" for size in wanted]


def payloads(chain: Geometry, *names: str) -> list[int]:
    """Return TCP payloads, by their names in the protocol's table."""
    return [DERIVED[f"TCP payload {name}"](chain) for name in names]


def test_the_figures_of_the_threat_model_are_the_codes() -> None:
    check_figures(THREATS)


@pytest.mark.parametrize(
    ("old", "new"),
    [("| 30 | 4,429 |", "| 30 | 4,352 |"), ("101,453", "101,454"), ("13,773 in", "13,772 in")],
)
def test_a_figure_of_the_threat_model_that_is_out_of_date_is_caught(old: str, new: str) -> None:
    with pytest.raises(AssertionError):
        check_figures(break_it(THREATS, old, new))


def check_margins(text: str) -> None:
    """How long before the end of a round uploads leave is said with the code's shares, of rounds of 2 s."""
    found = re.search(r"(\d+) to (\d+) ms of (?:a round of )?2 s", " ".join(text.split()))
    assert found is not None
    assert tuple(map(int, found.groups())) == tuple(round(share * 2000) for share in MARGIN_SHARE)


@pytest.mark.parametrize("text", [PROTOCOL, THREATS], ids=["protocol", "threat-model"])
def test_the_margin_of_an_upload_is_the_codes(text: str) -> None:
    check_margins(text)
    with pytest.raises(AssertionError):
        check_margins(break_it(text, "300 to 500 ms", "240 to 440 ms"))


SUITE_ROW = re.compile(r"^\| `(\w+)`[^|]*\| [^|]*\| ([^|]+)\| (\d+) \| ([^|]+)\| ([^|]+)\|$", flags=re.M)


def check_suites(text: str) -> None:
    """Each suite has its table row, with the code's sizes."""
    rows = {name: sizes for name, *sizes in SUITE_ROW.findall(section(text, "1. Conventions"))}
    assert rows.keys() == SUITES.keys()
    for name, sizes in rows.items():
        suite = SUITES[name]
        wanted = [suite.kem.enc_length(), suite.overhead, suite.public_size, suite.private_size]
        assert [sum(map(int, size.split("+"))) for size in sizes] == wanted


def test_the_suites_have_the_sizes_of_the_code() -> None:
    check_suites(PROTOCOL)
    with pytest.raises(AssertionError):
        check_suites(break_it(PROTOCOL, "| 1136 |", "| 1135 |"))
