"""The documents say what the code does: constants, kinds, labels.

Each check is a function of the text. After each success its test alters one thing and demands the failure.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from enum import IntEnum
from pathlib import Path

import pytest

from iirs import message
from iirs.client import invitations
from iirs.server.hops import link
from iirs.wire.accounts import Result
from iirs.wire.limits import CloseReason
from iirs.wire.rounds import RoundStatus
from tests.documents import (
    ARCHITECTURE,
    GROUPS,
    LINKS,
    PROTOCOL,
    SOURCES,
    SPECIFICATION,
    break_it,
    page,
    section,
    table,
    tables,
)

# -- constants ----------------------------------------------------------------------------------------

PROTOCOL_CONSTANTS = {
    "protocol version": "iirs.PROTOCOL_VERSION",
    "default port": "iirs.chain.DEFAULT_PORT",
    "hops, at most": "iirs.chain.MAX_HOPS",
    "slots, at most": "iirs.chain.MAX_SLOTS",
    "circuits a slot": "iirs.geometry.CIRCUITS_PER_SLOT",
    "rounds an epoch, at most": "iirs.chain.EPOCH_ROUNDS_MAX",
    "rounds of a login key": "iirs.onion.CHANNEL_ROUNDS",
    "setups at once": "iirs.noise.SETUPS_AT_ONCE",
    "share of an epoch for a setup": "iirs.noise.SETUP_SHARE",
    "weak epsilon": "iirs.noise.WEAK_EPSILON",
    "weak delta": "iirs.noise.WEAK_DELTA",
    "characters a name, at most": "iirs.geometry.NAME_MAX",
    "entries an announcement": "iirs.geometry.DIRECTORY_INCREMENT",
    "entries an announcement, at most": "iirs.geometry.DIRECTORY_INCREMENT_MAX",
    "prekeys an announcement": "iirs.geometry.PREKEY_INCREMENT",
    "prekeys an announcement, at most": "iirs.geometry.PREKEY_INCREMENT_MAX",
    "entries a directory, at most": "iirs.wire.limits.MAX_ENTRIES",
    "invitations a bundle, at most": "iirs.wire.limits.MAX_INVITATIONS",
    "bundle step": "iirs.geometry.BUNDLE_STEP",
    "bundle rate": "iirs.server.settings.ServiceSettings.bundle_bytes_per_second",
    "grace of a login key": "iirs.epoch.GRACE_ROUNDS",
    "channel steps, at most": "iirs.onion.MAX_STEPS",
    "TLS record, at most": "iirs.tls.RECORD_MAX",
    "Argon2id memory": "iirs.client.account.password_keys.STANDARD_COST.memory_kib",
    "Argon2id passes": "iirs.client.account.password_keys.STANDARD_COST.passes",
    "Argon2id lanes": "iirs.client.account.password_keys.STANDARD_COST.lanes",
    "announcement from the clock, at most": "iirs.chain.CLOCK_TOLERANCE_SECONDS",
    "upload margin": "iirs.client.net.upload_clock.MARGIN_SHARE",
    "build ahead": "iirs.client.net.upload_clock.BUILD_AHEAD",
    "quiet ahead": "iirs.client.net.upload_clock.QUIET_AHEAD",
    "rounds to the setup": "iirs.client.departure._ROUNDS_TO_SETUP",
    "rounds after the setup": "iirs.client.departure._ROUNDS_AFTER_SETUP",
    "silence": "iirs.client.server_connection._SILENT_ROUNDS",
    "reconnecting": "iirs.client.connection_options._BACKOFF_SECONDS",
    "time to shake hands": "iirs.server.connectionThread.ConnectionSettings.handshake_seconds",
    "time to log in": "iirs.server.connectionThread.ConnectionSettings.greeting_seconds",
    "time between uploads": "iirs.server.connectionThread.ConnectionSettings.idle_seconds",
    "rounds between uploads": "iirs.server.service._IDLE_ROUNDS",
    "chain ids an invitation, at most": "iirs.client.invitations.CHAIN_IDS_MAX",
    "prekey ids an invitation, at most": "iirs.client.invitations.PREKEY_IDS_MAX",
    "size of a prekey id": "iirs.geometry.PREKEY_ID_SIZE",
    "patience, at least": "iirs.client.sync._PATIENCE_MIN",
    "gap, at most": "iirs.client.sync.MAX_GAP",
    "rounds to the end": "iirs.client.conversation.HANG_UP_ROUNDS",
    "end invitations": "iirs.client.conversation.END_INVITATIONS",
    "proof every": "iirs.client.conversation.PROOF_EVERY",
    "bit of leaving": "iirs.client.conversation.LEAVING",
    "bytes a text, at most": "iirs.client.chat_session.TEXT_MAX",
    "bytes a note, at most": "iirs.client.chat_session.NOTE_MAX",
    "fragments a text, at most": "iirs.client.chat_session.FRAGMENTS_MAX",
    "window": "iirs.client.chat_session.WINDOW",
}
LINK_CONSTANTS = {
    "items a batch, at most": "iirs.server.hops.link.BATCH_MAX",
    "bytes a CHUNK, at most": "iirs.server.hops.link.CHUNK_MAX",
    "entries a PREPARE, at most": "iirs.server.hops.link.ENTRIES_MAX",
    "from the clock, at most": "iirs.chain.CLOCK_TOLERANCE_SECONDS",
    "budget share": "iirs.server.hops.next_hop._BUDGET_SHARE",
    "budget at the entry": "iirs.server.settings.ServiceSettings.hop_seconds",
    "budget, at most": "iirs.server.hops.link_server._BUDGET_MAX",
    "time for a frame": "iirs.server.hops.link_server._FRAME_SECONDS",
    "time for a handshake": "iirs.server.hops.link_server._HANDSHAKE_SECONDS",
    "handshakes, at most": "iirs.server.hops.link_server._HANDSHAKES_MAX",
    "handshakes of one address": "iirs.server.hops.link_server._HANDSHAKES_SHARE",
    "time to sign for an account": "iirs.server.settings.ServiceSettings.sign_seconds",
}
GROUP_CONSTANTS = {
    "bytes a file, at most": "iirs.client.chat_session.FILE_MAX",
    "pieces a file, at most": "iirs.client.chat_session.PARTS_MAX",
    "files on their way, at most": "iirs.client.messenger.files.COMING_MAX",
    "time to disappear, at most": "iirs.client.messenger.notes.TIMER_MAX",
    "members a group, at most": "iirs.client.messenger.group_item.MEMBERS_MAX",
    "characters a group's name, at most": "iirs.client.messenger.group_item.NAME_MAX",
    "bytes a text in a group, at most": "iirs.client.messenger.group_item.TEXT_MAX",
    "items kept, at most": "iirs.client.messenger.group_store.HELD_MAX",
    "bytes kept, at most": "iirs.client.messenger.group_store.HELD_BYTES_MAX",
    "groups brought, at most": "iirs.client.messenger.groups.INVITED_MAX",
    "recent texts": "iirs.client.messenger.group_store.RECENT",
    "bytes of recent texts": "iirs.client.messenger.group_store.RECENT_TEXT_MAX",
}
PROGRAM_CONSTANTS = {
    "slots of a new chain": "iirs.server.keystore.DEFAULT_SLOTS",
    "seconds a round": "iirs.server.keystore.DEFAULT_ROUND_SECONDS",
    "rounds between bundles": "iirs.server.keystore.DEFAULT_INVITE_EVERY",
    "rounds an epoch": "iirs.server.keystore.DEFAULT_EPOCH_ROUNDS",
    "rounds a prekey period": "iirs.chain.DEFAULT_PREKEY_ROUNDS",
    "suite of a new chain": "iirs.server.keystore.DEFAULT_SUITE",
    "noise share": "iirs.server.hops.setup_main.DEFAULT_NOISE_SHARE",
    "line between two hops": "iirs.server.hops.setup_main.DEFAULT_LINE_MBIT",
    "share of the line": "iirs.server.hops.setup_main.DEFAULT_LINE_SHARE",
    "connections, at most": "iirs.server.settings.ServiceSettings.max_connections",
    "not logged in, at most": "iirs.server.net.lobby.LobbySettings.total",
    "not logged in, of one address": "iirs.server.net.lobby.LobbySettings.per_address",
    "left alone, at least": "iirs.server.net.lobby.LobbySettings.grace_seconds",
    "waiting for a slow client, at most": "iirs.server.connectionThread._HELD_MAX",
    "rounds waiting for a slow client": "iirs.server.connectionThread._HELD_ROUNDS",
    "registrations at once": "iirs.server.settings.ServiceSettings.registrations_burst",
    "registrations a second": "iirs.server.settings.ServiceSettings.registrations_per_second",
    "new passwords at once": "iirs.server.settings.ServiceSettings.password_changes_burst",
    "new passwords a second": "iirs.server.settings.ServiceSettings.password_changes_per_second",
    "prekeys at once": "iirs.server.accounts.prekey_store._RENEWALS_AT_ONCE",
    "rounds a renewal": "iirs.server.accounts.prekey_store._ROUNDS_A_RENEWAL",
    "uploads due, at most": "iirs.server.connectionThread._UPLOADS_DUE_MAX",
    "failed logins at once": "iirs.server.settings.ServiceSettings.failed_logins_burst",
    "failed logins a second": "iirs.server.settings.ServiceSettings.failed_logins_per_second",
    "failed logins of a name": "iirs.server.settings.ServiceSettings.failed_logins_of_name",
    "failed logins of a place": "iirs.server.settings.ServiceSettings.failed_logins_of_place",
    "usual places a name, at most": "iirs.server.accounts.guesses._PLACES_A_NAME",
    "usual place, at most": "iirs.server.accounts.guesses._PLACE_SECONDS",
    "logins at once": "iirs.server.settings.ServiceSettings.logins_burst",
    "logins a second": "iirs.server.settings.ServiceSettings.logins_per_second",
    "characters a new password, at least": "iirs.client.account.password_keys.PASSWORD_MIN",
    "history checked at once, at most": "iirs.client.store.encrypted_file.CHECKED_AT_ONCE",
    "draft that is kept, at most": "iirs.client.messenger.drafts.DRAFT_MAX",
    "time between two times a draft is kept, at least": "iirs.client.window.session.DRAFT_SECONDS",
    "room wanted on a disk that was full": "iirs.client.store.store._ROOM_WANTED",
    "pause in asking": "iirs.client.messenger.slots.PAUSE_IN_ASKING",
    "steps a round, at most": "iirs.client.messenger.budget.ROUND_STEPS",
    "bytes a round, at most": "iirs.client.messenger.budget.ROUND_BYTES",
    "seconds a round, at most": "iirs.client.messenger.budget.ROUND_SECONDS",
    "bytes a round, at least": "iirs.client.messenger.budget.LEAST_BYTES",
    "items waiting, at most": "iirs.client.store.incoming.WAITING_MAX",
    "items delivered at once, at most": "iirs.client.chat_session.DELIVERED_AT_ONCE",
    "entries deleted in one step, at most": "iirs.client.store.history.ENTRIES_AT_ONCE",
    "bytes deleted in one step, about": "iirs.client.store.history.STEP_BYTES",
    "bytes of a page, about": "iirs.client.store.history.PAGE_BYTES",
    "entries searched in one step, at most": "iirs.client.store.history.SEARCHED_AT_ONCE",
    "bytes searched in one step, about": "iirs.client.store.history.SEARCHED_BYTES",
    "pixels a picture, at most": "iirs.client.pictures.decoder_process.PIXELS_MAX",
    "memory of a decoder, at most": "iirs.client.pictures.decoder_process.MEMORY_MAX",
    "work on a picture, at most": "iirs.client.pictures.decoder.Bounds.cpu_seconds",
    "time for a picture, at most": "iirs.client.pictures.decoder.Bounds.seconds",
    "pictures waiting, at most": "iirs.client.model.picture_queue.WANTED_MAX",
    "computing at a stretch, at most": "iirs.client.net.upload_clock.SWITCH_SECONDS",
}
CONSTANTS = {
    "protocol": (section(PROTOCOL, "15. Constants"), PROTOCOL_CONSTANTS),
    "links": (section(LINKS, "10. Constants"), LINK_CONSTANTS),
    "groups": (section(GROUPS, "10. Constants"), GROUP_CONSTANTS),
    "architecture": (section(ARCHITECTURE, "Bounds and defaults"), PROGRAM_CONSTANTS),
}
"""For each document its section, and where the code has the values: a document names no module."""


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


def check_constants(text: str, names: dict[str, str]) -> None:
    """The table has all of these constants and no other, each with the code's value."""
    rows = table(text, "constant", "value", "meaning")
    assert [name for name, _, _ in rows] == list(names)
    for name, value, _ in rows:
        assert value_of(names[name]) == ast.literal_eval(value), name


@pytest.mark.parametrize("document", CONSTANTS)
def test_every_constant_quoted_is_the_codes(document: str) -> None:
    check_constants(*CONSTANTS[document])


@pytest.mark.parametrize(
    ("document", "old", "new"),
    [
        ("protocol", "| patience | 10 |", "| patience | 11 |"),
        ("protocol", "(0.15, 0.25)", "(0.15, 0.2)"),
        ("protocol", "| window | 64 |", "| pane | 64 |"),
        ("links", "| budget share | 0.8 |", "| budget share | 0.9 |"),
        ("links", "| bytes a CHUNK, at most | 262144 | |\n", ""),
        ("groups", "| recent texts | 20 |", "| recent texts | 50 |"),
        ("architecture", "| connections, at most | 5000 |", "| connections, at most | 500 |"),
    ],
)
def test_a_wrong_or_missing_constant_is_caught(document: str, old: str, new: str) -> None:
    text, names = CONSTANTS[document]
    with pytest.raises(AssertionError):
        check_constants(break_it(text, old, new), names)


def test_a_constant_the_code_has_no_more_is_caught() -> None:
    with pytest.raises(AttributeError):
        value_of("iirs.client.chat_session.PANE")
    with pytest.raises(AssertionError):
        value_of("nowhere.PANE")


@pytest.mark.parametrize("document", ["docs/protocol.md", "docs/links.md", "docs/groups.md"])
def test_the_specification_names_no_module(document: str) -> None:
    pattern = r"\biirs\.[a-z]|\biirs/(?!1 )[a-z_/]*\.py"
    assert re.search(pattern, page(document)) is None
    assert re.search(pattern, page(document) + "`iirs.client.sync.PATIENCE`")


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
    check_enums(SPECIFICATION)


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
        check_enums(break_it(SPECIFICATION, old, new))


LABEL = re.compile(r'b"(iirs/1[^"]*)"')


def check_labels(text: str, sources: dict[Path, str]) -> None:
    """Every label the code derives, signs or binds with is in the specification."""
    for path, source in sources.items():
        for label in LABEL.findall(source):
            bare = label.strip()
            on_disk_only = bare in {"iirs/1 row names", "iirs/1 account file", "iirs/1"}
            assert on_disk_only or f'"{bare}' in text, f"{path.name}: {bare}"


def test_every_label_of_the_code_is_in_the_document() -> None:
    assert len({label for source in SOURCES.values() for label in LABEL.findall(source)}) > 12
    check_labels(SPECIFICATION, SOURCES)
    with pytest.raises(AssertionError):
        check_labels(break_it(SPECIFICATION, '"iirs/1 handshake"', '"iirs/2 handshake"'), SOURCES)
