"""What the fuzzer checks, without the fuzzer: the inputs that were kept, and some that Hypothesis draws.

After each success one thing is broken, and a kept input must fail.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import decoders, links, peer
from fuzz.work import CALLS, bounded_work
from iirs.client.engine import Engine
from iirs.client.messenger import files, groups
from iirs.client.messenger.messenger import Messenger
from iirs.client.messenger.slots import Slots
from iirs.client.store.history import History
from iirs.directory import Directory
from iirs.errors import DirectoryError
from iirs.server.hops import link
from iirs.server.hops.hop_state import HopState
from iirs.server.hops.later_hop import LaterHop
from iirs.server.hops.link import Refusal
from iirs.server.hops.mix_hop import MixHop
from iirs.wire.accounts import Errand
from iirs.wire.rounds import Standby
from tests.effort import examples

CORPUS = Path(__file__).parent.parent / "fuzz" / "corpus"
Check = Callable[[bytes], None]
CHECKS: dict[str, Check] = {"decoders": decoders.check, "peer": peer.check, "links": links.check}


@pytest.mark.parametrize("target", CHECKS)
def test_every_input_that_was_kept_passes(target: str) -> None:
    kept = sorted((CORPUS / target).iterdir())
    assert len(kept) > 15
    for path in kept:
        CHECKS[target](path.read_bytes())


def test_the_kept_inputs_are_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*")) < 200_000


@settings(max_examples=examples(200))
@given(st.sampled_from(range(len(decoders.DECODERS))), st.integers(0, 7), st.binary(max_size=300))
def test_any_bytes_give_a_decoder_a_value_or_its_named_error(decoder: int, mode: int, data: bytes) -> None:
    decoders.check(bytes([decoder, mode]) + data)


@settings(max_examples=examples(5))
@given(st.binary(max_size=60))
def test_whatever_an_authentic_peer_says_uploads_are_alike_and_the_store_is_whole(data: bytes) -> None:
    peer.check(data)


@settings(max_examples=examples(20))
@given(st.integers(0, 3), st.binary(max_size=100))
def test_whatever_its_neighbours_say_a_hop_goes_on_and_never_back(part: int, data: bytes) -> None:
    links.check(bytes([part]) + data)


# -- what is broken is found ---------------------------------------------------------------------------------


def fails(*arguments: object, **named: object) -> Any:
    raise ZeroDivisionError


def does_nothing(*arguments: object, **named: object) -> None: ...


def half_taken(self: Directory, *arguments: object) -> None:
    self.entries.append(decoders.ALICE)
    raise DirectoryError


def forgetful(real: Callable[..., Any]) -> Callable[..., Any]:
    """A hop that runs a batch although its round is over."""

    def open_again(self: MixHop, batch: Any) -> Any:
        self._last.update(dict.fromkeys(self._last, -1))
        return real(self, batch)

    return open_again


BREAKAGES: dict[str, tuple[str, object, str, object, str | None]] = {
    "a decoder raises another error": ("decoders/standby-0", Standby, "decode", fails, None),
    "a value has two encodings": ("decoders/errand-1", Errand, "encode", lambda _: bytes(93), "encoding"),
    "a refusal leaves something": ("decoders/directory-body-1", Directory, "extend", half_taken, "taken in"),
    "a note is too much": ("peer/timers-0", Messenger, "_take_note", fails, None),
    "an upload is unlike others": ("peer/texts-0", Engine, "_renew_prekey", lambda *_: [], "like all others"),
    "pieces stay": ("peer/file-stopped-0", History, "remove_file", does_nothing, "no entry|not to be kept"),
    "a peer ends another's talk": ("peer/group-joined-0", Slots, "let_go", Slots.end, "ended another's"),
    "files without end": ("peer/files-many-0", files, "COMING_MAX", 100, None),
    "groups without end": ("peer/groups-many-0", groups, "INVITED_MAX", 100, None),
    "a state is not kept": ("peer/texts-0", Slots, "save", does_nothing, "not what was there"),
    "a hop's thread ends": ("links/opened-hop-2", LaterHop, "open_round", fails, None),
    "a batch is run twice": (
        "links/batch-twice-hop-2",
        MixHop,
        "_open",
        forgetful(MixHop._open),
        "not noted",
    ),
    "cells are run twice": ("links/cells-twice-hop-2", MixHop, "_burn", does_nothing, "not noted"),
    "a hop forgets a setup": ("links/setup-again-hop-2", HopState, "note_setup", does_nothing, "not noted"),
    "a hop forgets what it ran": ("links/two-rounds-hop-2", HopState, "set_round", does_nothing, "not noted"),
    "a log tells bytes": ("links/batch-twice-hop-2", Refusal, "why", "got b'secret'", "nobody should read"),
    "a neighbour's answer is too much": ("links/next-hop-refuses", link, "decode_refusal", fails, None),
}


@pytest.mark.parametrize("what", BREAKAGES)
def test_a_kept_input_fails_when_what_it_is_for_is_broken(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, owner, attribute, broken, said = BREAKAGES[what]
    check = CHECKS[name.split("/")[0]]
    data = (CORPUS / name).read_bytes()
    check(data)
    monkeypatch.setattr(owner, attribute, broken)
    with pytest.raises((AssertionError, ZeroDivisionError), match=said):
        check(data)


def test_work_that_grows_faster_than_its_input_is_found() -> None:
    def once() -> None: ...

    def squared(size: int) -> None:
        for _ in range(size * size):
            once()

    with bounded_work(100):
        squared(100)
    with pytest.raises(AssertionError, match="more work"), bounded_work(1000):
        squared(1000)
    assert CALLS > 100 * 100
