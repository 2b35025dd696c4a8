"""The documents say what the code does: sizes, layouts, constants, names, links, flags, cited sections.

Each check is a function of the text. After each success its test alters one thing and demands the failure.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import re
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import product
from pathlib import Path

import pytest

from iirs import PROTOCOL_VERSION, client, geometry, message, tls
from iirs.client import invitations
from iirs.client import main as client_main
from iirs.demo import main as demo
from iirs.geometry import BatchKind, Geometry
from iirs.meter import main as meter
from iirs.server import main as server_main
from iirs.server.hops import link
from iirs.server.hops import main as mix_main
from iirs.server.hops import setup_main as chain_main
from iirs.server.hops.link import LinkKind
from iirs.suite import HYBRID, SUITES, X25519
from iirs.wire.accounts import Result
from iirs.wire.limits import CloseReason
from iirs.wire.rounds import RoundStatus

ROOT = Path(__file__).parent.parent
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
GUIDES = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "iirs").rglob("*.py"))}
GEOMETRIES = [Geometry(suite, hops, 2) for suite in (HYBRID, X25519) for hops in (1, 3)]


def break_it(text: str, old: str, new: str) -> str:
    """Return ``text`` with one thing changed; the thing must be there."""
    assert text.count(old) >= 1, f"nothing to break: {old!r}"
    return text.replace(old, new, 1)


def section(text: str, number: int) -> str:
    """Return one section of a document with numbered headings."""
    parts = re.split(r"^## (\d+)\. .*$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[str(number)]


def tables(text: str) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Give every table as its header and its rows, cells stripped."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text + "\n", flags=re.M):
        rows = [
            tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]) for line in block.splitlines()
        ]
        yield rows[0], rows[2:]


def table(text: str, *header: str) -> list[tuple[str, ...]]:
    """Return the rows of all tables with this header."""
    found = [row for head, rows in tables(text) if head == header for row in rows]
    assert found, f"no table with the header {header}"
    return found


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
    "ANNOUNCE": lambda g: g.announce_size,
    "UPLOAD": lambda g: g.upload_size,
    "UPLOAD_INVITE": lambda g: g.upload_invite_size,
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
    "ANNOUNCEMENT": lambda g: g.announcement_size,
    "VAULT": lambda g: geometry.VAULT_SIZE,
    "ERRAND": lambda g: geometry.ERRAND_SIZE,
    "REQUEST": lambda g: geometry.REQUEST_SIZE,
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
        link.Prepare(0, 0, (bytes(geometry.ENTRY_SIZE),) * LETTERS["m"]).encode(0).body
    ),
    "LINK_PREPARED": lambda g: link.Prepared.size(g, LETTERS["t"]),
    "LINK_BEHIND": lambda g: len(link.BehindError(1, 0).encode().body),
    "LINK_OPEN": lambda g: link.requests(g)[LinkKind.OPEN][0],
    "LINK_BATCH": lambda g: len(link.BatchHeader(0, BatchKind.CONVERSATION, 0).encode(0).body),
    "LINK_CHUNK": lambda g: len(next(link.chunks([bytes(LETTERS["b"])])).body),
    "LINK_RESULT": lambda g: link.RESULT_SIZE,
    "LINK_REFUSED": lambda g: len(link.encode_refusal(link.RefusedError(1, link.Refusal.KEY)).body),
}
LETTERS = {"L": 900, "d": 7, "p": 5, "c": 16, "t": 2, "m": 3, "b": 700}
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
    check_layouts(PROTOCOL)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| `97` | `32 + E` | offer", "| `97` | `33 + E` | offer"),
        ("| `65` | `32` | key id", "| `64` | `32` | key id"),
        ("**Layout HEAD: `36 + 64 * n` bytes**", "**Layout HEAD: `37 + 64 * n` bytes**"),
        ("**Layout CLOSE:", "**Layout SHUT:"),
        ("**Layout LINK_PREPARED: `t * (145 + P)`", "**Layout LINK_PREPARED: `t * (144 + P)`"),
        ("| `13` | `4` | how many onions", "| `13` | `8` | how many onions"),
        ("| `20` | `130 * m` | entries", "| `20` | `131 * m` | entries"),
    ],
)
def test_a_layout_that_does_not_add_up_is_caught(old: str, new: str) -> None:
    with pytest.raises(AssertionError):
        check_layouts(break_it(PROTOCOL, old, new))


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
        sizes = [struct.calcsize(f">{code}") for code in packed.format.strip(">")]
        assert [size for size, _ in fields_of(text, layout)] == sizes


def test_peer_messages_and_invitations_are_laid_out_as_in_the_code() -> None:
    check_fields(PROTOCOL)


def test_fields_in_another_order_are_caught() -> None:
    with pytest.raises(AssertionError):
        check_fields(
            break_it(PROTOCOL, "| `118` | `8` | renewal_round |", "| `118` | `8` | renewal_number |")
        )
    with pytest.raises(AssertionError):
        check_fields(break_it(PROTOCOL, "| `94` | `8` | bundle round k |", "| `94` | `4` | bundle round k |"))
    with pytest.raises(AssertionError):
        check_fields(break_it(PROTOCOL, "| `12` | `4` | base", "| `12` | `8` | base"))


def check_versions(text: str) -> None:
    """The version stands in HELLO and ANNOUNCEMENT, and is the code's."""
    found = re.findall(r"protocol version: (\d+) \|", text)
    assert found == [str(PROTOCOL_VERSION)] * 2


def test_the_protocols_version_is_the_codes_wherever_it_stands() -> None:
    check_versions(PROTOCOL)
    current = f"protocol version: {PROTOCOL_VERSION} |"
    with pytest.raises(AssertionError):
        check_versions(break_it(PROTOCOL, current, "protocol version: 1 |"))


# -- sizes and constants --------------------------------------------------------------------------------

FIXED = {
    "peer message": geometry.PEER_MESSAGE_SIZE,
    "payload of a peer message": message.PAYLOAD_MAX,
    "request": geometry.REQUEST_SIZE,
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
DERIVED: dict[str, Callable[[Geometry], int]] = {
    "conversation onion, as uploaded": lambda g: g.entry_onion_size(BatchKind.CONVERSATION),
    "invitation onion, as uploaded": lambda g: g.entry_onion_size(BatchKind.INVITATION),
    "reply, as received": lambda g: g.entry_reply_size,
    "UPLOAD": lambda g: g.upload_size,
    "UPLOAD_INVITE": lambda g: g.upload_invite_size,
    "REPLIES": lambda g: g.replies_size,
    "ANNOUNCE": lambda g: g.announce_size,
    "HEAD": lambda g: g.head_size,
    "KEYS": lambda g: g.keys_size,
    "LOGIN": lambda g: g.login_size,
    "BUNDLE of 8 invitations": lambda g: g.bundle_size(8),
    "TCP payload up, plain round": lambda g: tls.on_the_wire(FRAME + g.upload_size),
    "TCP payload up, invitation round": lambda g: tls.on_the_wire(FRAME + g.upload_invite_size),
    "TCP payload up, plain round with a prekey": lambda g: tls.on_the_wire(
        2 * FRAME + geometry.PREKEY_SIZE + g.upload_size
    ),
    "TCP payload up, invitation round with a prekey": lambda g: tls.on_the_wire(
        2 * FRAME + geometry.PREKEY_SIZE + g.upload_invite_size
    ),
    "TCP payload down, plain round": lambda g: tls.on_the_wire(2 * FRAME + g.replies_size + g.announce_size),
    "TCP payload down, round with a bundle of 8": lambda g: tls.on_the_wire(
        3 * FRAME + g.replies_size + g.bundle_size(8) + g.announce_size
    ),
}


def check_sizes(text: str) -> None:
    """Both tables of section 14 name every size there is, with the code's value."""
    sizes = section(text, 14)
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
        ("| LOGIN | 1265 | 1265 | 177 | 177 |", "| LOGIN | 1265 | 1265 | 177 | 178 |"),
        ("| name | 1 hop, MLKEM768_X25519 |", "| name | 2 hop, MLKEM768_X25519 |"),
    ],
)
def test_a_wrong_or_missing_size_is_caught(old: str, new: str) -> None:
    with pytest.raises(AssertionError):
        check_sizes(break_it(PROTOCOL, old, new))


THREATS = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def check_figures(text: str) -> None:
    """The figures of the threat model, for a chain of one and a chain of three, are the code's."""
    header = "online, up a round, up with invitations, down a round, down with a bundle, down, average"
    rows = table(text, *re.split(r", (?!average)", header))
    assert len(rows) == 4
    for online, up, up_invite, down, down_bundle, _ in rows:
        chain = Geometry(HYBRID, 1, 2)
        count = geometry.padded_invitations(int(online) * chain.slots)
        sizes = plain_sizes(chain)
        bundle = tls.on_the_wire(
            3 * FRAME + chain.replies_size + chain.bundle_size(count) + chain.announce_size
        )
        assert [up, up_invite, down] == [f"{size:,}" for size in sizes]
        assert down_bundle.split(" ")[0] == f"{bundle:,}"
    three = re.search(
        r"chain of three, .*?, ([\d,]+) bytes .*?\(([\d,]+) with.*?and ([\d,]+) come", text, re.S
    )
    assert three is not None
    assert list(three.groups()) == [f"{size:,}" for size in plain_sizes(Geometry(HYBRID, 3, 2))]


def plain_sizes(chain: Geometry) -> list[int]:
    """Return TCP payload up, up with invitations, and down."""
    return [
        DERIVED[f"TCP payload {name}"](chain)
        for name in ("up, plain round", "up, invitation round", "down, plain round")
    ]


def test_the_figures_of_the_threat_model_are_the_codes() -> None:
    check_figures(THREATS)


@pytest.mark.parametrize(
    ("old", "new"),
    [("| 30 | 4,352 |", "| 30 | 4,259 |"), ("101,413", "101,414"), ("13,696 bytes", "13,603 bytes")],
)
def test_a_figure_of_the_threat_model_that_is_out_of_date_is_caught(old: str, new: str) -> None:
    with pytest.raises(AssertionError):
        check_figures(break_it(THREATS, old, new))


SUITE_ROW = re.compile(r"^\| `(\w+)`[^|]*\| [^|]*\| ([^|]+)\| (\d+) \| ([^|]+)\| ([^|]+)\|$", flags=re.M)


def check_suites(text: str) -> None:
    """Each suite has its table row, with the code's sizes."""
    rows = {name: sizes for name, *sizes in SUITE_ROW.findall(section(text, 1))}
    assert rows.keys() == SUITES.keys()
    for name, sizes in rows.items():
        suite = SUITES[name]
        wanted = [suite.kem.enc_length(), suite.overhead, suite.public_size, suite.private_size]
        assert [sum(map(int, size.split("+"))) for size in sizes] == wanted


def test_the_suites_have_the_sizes_of_the_code() -> None:
    check_suites(PROTOCOL)
    with pytest.raises(AssertionError):
        check_suites(break_it(PROTOCOL, "| 1136 |", "| 1135 |"))


def value_of(dotted: str) -> object:
    """Return what a dotted name stands for; a field of a dataclass stands for its default."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            is_class = isinstance(value, type) and dataclasses.is_dataclass(value)
            value = getattr(value() if is_class else value, name)  # type: ignore[operator]
        return value
    raise AssertionError(f"no such module: {dotted}")


MUST_BE_THERE = {
    "PATIENCE", "HANG_UP_ROUNDS", "WINDOW", "TEXT_MAX", "MAX_GAP", "MAX_AHEAD", "GRACE_ROUNDS", "memory_kib",
    "passes", "lanes", "END_INVITATIONS", "FRAGMENTS_MAX", "CHAIN_IDS_MAX", "DIRECTORY_INCREMENT",
    "PREKEY_INCREMENT", "PREKEY_IDS_MAX", "PREKEY_ID_SIZE",
    "_BUDGET_SHARE", "hop_seconds", "sign_seconds", "CHUNK_MAX", "BATCH_MAX", "ENTRIES_MAX",
    "MAX_AHEAD_SECONDS",
}  # fmt: skip


def check_constants(text: str) -> None:
    """Section 15 gives the code's value for each constant, and has the ones that matter."""
    rows = table(section(text, 15), "constant", "value", "meaning")
    for name, value, _ in rows:
        assert value_of(name.strip("`")) == ast.literal_eval(value), name
    assert {name.strip("`").rsplit(".", 1)[1] for name, _, _ in rows} >= MUST_BE_THERE


def test_every_constant_quoted_is_the_codes() -> None:
    check_constants(PROTOCOL)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sync.PATIENCE` | 10 |", "sync.PATIENCE` | 11 |"),
        ("(0.15, 0.25)", "(0.15, 0.2)"),
        ("iirs.client.chat_session.WINDOW", "iirs.client.chat_session.PANE"),
        ("ServiceSettings.max_connections` | 5000", "ServiceSettings.max_connections` | 500"),
        ("next_hop._BUDGET_SHARE` | 0.8", "next_hop._BUDGET_SHARE` | 0.9"),
        ("| `iirs.server.hops.link.CHUNK_MAX` |", "| `iirs.server.hops.link.RESULT_SIZE` |"),
    ],
)
def test_a_wrong_constant_is_caught(old: str, new: str) -> None:
    with pytest.raises((AssertionError, AttributeError)):
        check_constants(break_it(PROTOCOL, old, new))


# -- kinds and reasons ------------------------------------------------------------------------------------

ENUMS: dict[str, type[IntEnum]] = {
    "kind": message.MessageKind,
    "result": Result,
    "status": RoundStatus,
    "reason": CloseReason,
    "link kind": link.LinkKind,
    "refusal": link.Refusal,
}


def check_enums(text: str) -> None:
    """Each kind, result, status and reason is in its table with its number, and nothing else is."""
    for title, enum in ENUMS.items():
        rows = [
            row for head, found in tables(text) if head[:2] == ("number", title) for row in found
        ]  # fmt: skip
        assert {row[1]: int(row[0]) for row in rows} == {item.name: item.value for item in enum}, title
    phases = {row[0]: int(row[1]) for row in table(text, *PHASES)}
    assert phases == {item.name: item.value for item in message.RenewalPhase}
    for kind in (message.ContentKind, invitations.InvitationKind):
        for item in kind:
            assert re.search(rf"kind: [^|]*\b{item.value} {item.name}\b", text), item


PHASES = ("phase", "number", "sent by", "renewal key", "renewal round")


def test_every_kind_result_status_and_reason_is_documented() -> None:
    check_enums(PROTOCOL)
    assert FRAMES.keys() == {kind.name for kind in message.MessageKind}
    link_frames = {name.removeprefix("LINK_") for name in LAYOUTS if name.startswith("LINK_")}
    assert link_frames == {kind.name for kind in link.LinkKind} - {"OPENED"}  # it has no body


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| 13 | BUNDLE |", "| 13 | PARCEL |"),
        ("| 16 | STANDBY |", "| 15 | STANDBY |"),
        ("| 5 | TOO_MANY |", "| 7 | TOO_MANY |"),
        ("| 2 | MISSING |", "| 2 | ABSENT |"),
        ("| 4 | VERSION |", "| 5 | VERSION |"),
        ("| 5 | INCOMPLETE |", "| 6 | INCOMPLETE |"),
        ("| 7 | NOT_YET |", "| 7 | TOO_SOON |"),
        ("| 5 | OPENED |", "| 5 | SHOWN |"),
        ("| 6 | CLOCK |", "| 7 | CLOCK |"),
        ("| COMMIT | 3 |", "| COMMIT | 4 |"),
        ("1 TALK, 2 END", "1 TALK"),
    ],
)
def test_an_undocumented_or_misnumbered_kind_is_caught(old: str, new: str) -> None:
    with pytest.raises(AssertionError):
        check_enums(break_it(PROTOCOL, old, new))


LABEL = re.compile(r'b"(iirs/1[^"]*)"')


def check_labels(text: str, sources: dict[Path, str]) -> None:
    """Every label the code derives, signs or binds with is in the document."""
    for path, source in sources.items():
        for label in LABEL.findall(source):
            bare = label.strip()
            on_disk_only = bare in {"iirs/1 row names", "iirs/1 account file", "iirs/1"}
            assert on_disk_only or f'"{bare}' in text, f"{path.name}: {bare}"


def test_every_label_of_the_code_is_in_the_document() -> None:
    assert len({label for source in SOURCES.values() for label in LABEL.findall(source)}) > 12
    check_labels(PROTOCOL, SOURCES)
    with pytest.raises(AssertionError):
        check_labels(break_it(PROTOCOL, '"iirs/1 handshake"', '"iirs/2 handshake"'), SOURCES)


# -- links, flags, citations --------------------------------------------------------------------------------

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def check_links(page: Path, text: str) -> None:
    """Every relative link leads to a file, and every anchor to a heading."""
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            there = text if path == page else path.read_text(encoding="utf-8")
            assert anchor in anchors(there), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    check_links(page, page.read_text(encoding="utf-8"))


def test_a_dangling_link_is_caught() -> None:
    page = ROOT / "README.md"
    for target in ("docs/nowhere.md", "docs/protocol.md#99-nothing", "#nowhere"):
        with pytest.raises(AssertionError):
            check_links(page, f"# Title\n\n[a page]({target})\n")


def test_the_pages_that_should_be_there_are() -> None:
    names = {page.relative_to(ROOT).as_posix() for page in PAGES}
    assert names >= {
        "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "milestones.md", "docs/protocol.md",
        "docs/threat-model.md", "docs/architecture.md", "docs/glossary.md", "docs/deploy.md",
    }  # fmt: skip


MENTIONED = re.compile(r"\b(?:iirs|tests|benchmarks)/[\w/]+\.(?:py|json)\b")


def check_files(text: str) -> None:
    """Every source file a guide names is there."""
    for name in MENTIONED.findall(text):
        assert (ROOT / name).is_file(), name


def test_every_file_named_is_there() -> None:
    assert len(MENTIONED.findall(GUIDES)) > 30
    check_files(GUIDES)
    with pytest.raises(AssertionError):
        check_files(GUIDES.replace("tests/test_privacy.py", "tests/test_private.py"))


def flags_of(
    parse: Callable[[list[str] | None], argparse.Namespace], monkeypatch: pytest.MonkeyPatch
) -> set[str]:
    """Return the long options a program's parser has, those of its commands included."""
    seen: set[str] = set()

    def caught(parser: argparse.ArgumentParser, *_: object) -> argparse.Namespace:
        for action in parser._actions:
            seen.update(flag for flag in action.option_strings if flag[:2] == "--")
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    caught(command)
        return argparse.Namespace()

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", caught)
        parse([])
    return seen - {"--help"}


PROGRAMS = (server_main, mix_main, chain_main, client_main, meter)


def check_flags(text: str, flags: set[str]) -> None:
    """Each flag is written out somewhere."""
    for flag in flags:
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", text), flag


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_flag_is_documented(program: object, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = flags_of(program.parse_arguments, monkeypatch)  # type: ignore[attr-defined]
    assert len(flags) > 4
    check_flags(GUIDES, flags)


def option_tables(text: str) -> dict[str, str]:
    """Return, for each program with a table of options, what the table's first column says."""
    found: dict[str, str] = {}
    for header, rows in tables(text):
        if re.fullmatch(r"`iirs-\w+`", header[0]):
            found[header[0].strip("`")] = " ".join(row[0] for row in rows)
    return found


def check_option_tables(text: str, flags: dict[str, set[str]]) -> None:
    """Each program's table in the README names all of its options, and no other."""
    written = option_tables(text)
    assert written.keys() == flags.keys()
    for program, cells in written.items():
        assert set(re.findall(r"--[a-z][a-z-]*", cells)) == flags[program], program


def test_the_readme_has_a_table_with_every_option_of_every_program(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("iirs-server", "iirs-mix", "iirs-chain", "iirs-client", "iirs-meter")
    flags = {
        name: flags_of(program.parse_arguments, monkeypatch)
        for name, program in zip(names, PROGRAMS, strict=True)
    }
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    check_option_tables(readme, flags)
    for old, new in (("`--noise-share`", "`--noise`"), ("| `iirs-mix` | |", "| `iirs-hop` | |")):
        with pytest.raises(AssertionError):
            check_option_tables(break_it(readme, old, new), flags)


def test_an_undocumented_flag_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = flags_of(client_main.parse_arguments, monkeypatch)
    with pytest.raises(AssertionError):
        check_flags(GUIDES.replace("--keys-stay-here", "--keys-stay"), flags)


def check_commands(text: str, known: set[str]) -> None:
    """No command line in the guides uses a flag that does not exist."""
    for line in re.findall(r"iirs-(?:server|mix|chain|client|demo|meter)\b[^`\n]*", text):
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line):
            assert flag in known, line


def test_the_guides_use_flags_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"--help", "--headless", "--json", "--round-seconds"}
    assert all(f'"{flag}"' in SOURCES[Path(demo.__file__)] for flag in known - {"--help"})
    for program in PROGRAMS:
        known |= flags_of(program.parse_arguments, monkeypatch)
    check_commands(GUIDES, known)
    with pytest.raises(AssertionError):
        check_commands(GUIDES + "\n`iirs-server --public`\n", known)
    with pytest.raises(AssertionError):
        check_commands(GUIDES + "\n`iirs-chain join --sign a.toml`\n", known)


CITATION = re.compile(r"protocol\.md``? sections? ([\d, and]+)")


def check_citations(text: str, sources: dict[Path, str]) -> int:
    """Each section cited exists; return how many citations there are."""
    known = {int(number) for number in re.findall(r"^## (\d+)\. ", text, flags=re.M)}
    count = 0
    for path, source in sources.items():
        for cited in CITATION.findall(" ".join(source.split())):
            for number in re.findall(r"\d+", cited):
                assert int(number) in known, f"{path.name} cites section {number}"
                count += 1
    return count


CITED = {
    "message.py": {3, 11},
    "limits.py": {3},
    "onion.py": {5},
    "directory.py": {8},
    "invitations.py": {9},
    "prekey.py": {9},
    "sync.py": {10},
    "link.py": {17},
}


def test_every_section_cited_in_the_code_exists_and_is_the_right_one() -> None:
    assert check_citations(PROTOCOL, SOURCES) >= 7
    for path, source in SOURCES.items():
        if path.name in CITED:
            cited = " ".join(CITATION.findall(" ".join(source.split())))
            assert {int(number) for number in re.findall(r"\d+", cited)} == CITED[path.name], path.name


def test_a_citation_of_nothing_is_caught() -> None:
    with pytest.raises(AssertionError):
        check_citations(PROTOCOL, {Path("x.py"): "See ``docs/protocol.md``\n section 99."})
    with pytest.raises(AssertionError):
        check_citations(break_it(PROTOCOL, "## 9. ", "## Nine. "), SOURCES)


def test_what_the_client_package_offers_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in client.__all__)


def check_modules(text: str, modules: set[str]) -> None:
    """Each module stands in the table of modules."""
    cells = " ".join(row[0] for row in table(text, "module", "does"))
    for module in modules:
        assert re.search(rf"[`/]{module}`", cells), module


def test_every_module_of_the_server_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = {path.name for path in SOURCES if path.parent.name == "server" and path.stem != "__init__"}
    assert "link_server.py" in modules
    check_modules(text, modules)
    with pytest.raises(AssertionError):
        check_modules(
            break_it(text, "`iirs/server/hops/link_server.py`", "`iirs/server/hops/link.py`"), modules
        )


def test_every_module_of_the_client_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = {path.name for path in SOURCES if path.parent.name == "client" and path.stem != "__init__"}
    assert "librarian.py" in modules
    check_modules(text, modules)
    with pytest.raises(AssertionError):
        check_modules(break_it(text, "`iirs/client/model/background.py`", "`iirs/client/books.py`"), modules)
