"""The wall clock is set, back or forward, while a server runs or is away: no round stops, and it is said."""

from __future__ import annotations

import logging
import math
import os
import re
import ssl
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import iirs.server.announcer
import iirs.tls
from iirs.chain import parse_chain
from iirs.geometry import ENTRY_SIZE
from iirs.onion import CHANNEL_ROUNDS, MAX_STEPS, EntryChannel, RoundContext
from iirs.server.accounts.database import LAST_ROUND, Storage, StoredAccount
from iirs.server.clock_report import span
from iirs.server.hops.hop_state import HopState
from iirs.server.hops.later_hop import HopEnvironment, LaterHop
from iirs.server.hops.link import Prepare, Refusal, RefusedError
from iirs.server.hops.main import load_state
from iirs.server.keystore import CLOCK_FILE, ChainOptions, HopKeys, ServerKeys, make_keys
from iirs.server.main import build_service, parse_arguments
from iirs.server.mix_net import RoundOutcome
from iirs.server.mix_stage import Batch
from iirs.server.service import Service
from iirs.server.settings import ServiceSettings
from iirs.server.steady_jobs import SteadyJobs
from iirs.tls import link_context, make_certificate
from iirs.wire.rounds import NOTHING_BEFORE, Announcement, Bundle
from tests.builders import entry_of, make_chain
from tests.harness import wait_until
from tests.test_programs import PATIENT, server

HOUR, DAY = 3600.0, 86_400.0
YEAR = 365 * DAY
STEPS = [-DAY, -HOUR, HOUR, YEAR, 10 * YEAR]
NOW = 1_700_000_000.0
FAR = "make an empty file clock-is-right in the data directory"


# -- what is due --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.0, *STEPS])
def test_a_job_is_due_by_the_monotonic_clock_once(step: float) -> None:
    monotonic, wall = [50.0], datetime.now(UTC)
    jobs = SteadyJobs(lambda: monotonic[0])
    scheduler = BackgroundScheduler(jobstores={"default": jobs})
    scheduler.start(paused=True)
    scheduler.add_job(print, "interval", seconds=2, start_date=wall + timedelta(seconds=2))
    assert jobs.get_due_jobs(wall) == []
    for elapsed in (1.9, 0.2):
        monotonic[0] += elapsed
        wall += timedelta(seconds=elapsed)
        due = jobs.get_due_jobs(wall + timedelta(seconds=step))
        assert len(due) == (monotonic[0] > 52)
    assert len(due[0]._get_run_times(wall + timedelta(seconds=step))) == 1
    scheduler.shutdown()


def setup_of(number: int) -> Prepare:
    """Return what a hop is asked before a setup round."""
    return Prepare(number, number, NOTHING_BEFORE, 0)


def test_a_process_that_was_halted_for_years_runs_one_job() -> None:
    monotonic, wall = [50.0], datetime.now(UTC)
    jobs = SteadyJobs(lambda: monotonic[0])
    scheduler = BackgroundScheduler(jobstores={"default": jobs})
    scheduler.start(paused=True)
    job = scheduler.add_job(print, "interval", seconds=2, start_date=wall + timedelta(seconds=2))
    assert jobs.get_due_jobs(wall) == []
    monotonic[0] += YEAR + 3
    now = wall + timedelta(seconds=YEAR + 3)
    assert jobs.get_due_jobs(now) == [job]
    assert job._get_run_times(now) == [wall + timedelta(seconds=YEAR + 2)]
    scheduler.shutdown()


class Place:
    """An entry that opens rounds by clocks of the test's own, with so many people who take part."""

    def __init__(self, keys: ServerKeys | None = None, storage: Storage | None = None) -> None:
        self.clock, self.uptime, self.uploads = NOW, 1000.0, 3
        self.keys = keys or make_keys(ChainOptions())
        self.storage = storage or Storage("sqlite://")
        self.numbers: list[int] = []
        self.start()

    def start(self) -> None:
        settings = ServiceSettings(clock=lambda: self.clock, uptime=lambda: self.uptime)
        self.service = Service(self.keys, self.storage, settings)
        self.announcer = self.service._announcer

    def restart(self, seconds: float, uptime: float) -> None:
        """Stop, and start when the clock is so much further, and the machine on for ``uptime`` seconds."""
        self.service._database.stop(self.announcer.last_round)
        self.storage.set_numbers(self.service._database._left.numbers)  # its thread does not run here
        self.clock += seconds
        self.uptime = uptime
        self.start()

    @property
    def clock_round(self) -> int:
        return int(self.clock * 1000) // self.keys.chain.round_ms

    def open(self, rounds: int = 1) -> None:
        """Open rounds and have them run, at the pace of the clocks."""
        for _ in range(rounds):
            opened = self.announcer.open_next(self.service.accounts, self.service.prekeys, lambda: 2.0)
            self.clock += self.keys.chain.round_ms / 1000
            self.uptime += self.keys.chain.round_ms / 1000
            if opened is not None:
                self.announcer.show_chain(opened)
                self.service.mix_net.close_round({})
                number = Announcement.decode(opened.announcement, self.keys.chain.geometry).round_number
                context = RoundContext(self.keys.chain.chain_id, number, bytes(32))
                self.announcer.note(RoundOutcome(context, {}, None, self.uploads, 0))
                self.numbers.append(number)


@pytest.fixture
def place() -> Place:
    return Place()


def said(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno >= logging.WARNING]


# -- which number comes next --------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_rounds_that_somebody_takes_part_in_go_on_and_it_is_said_once(
    step: float, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.open()
    place.clock += step
    place.open(30)
    place.clock -= step
    place.open()
    first = int(NOW * 1000) // place.keys.chain.round_ms
    assert place.numbers == list(range(first, first + 32))
    begun, ended = said(caplog)
    assert f"{'behind' if step < 0 else 'ahead of'} the rounds, which go on" in begun
    assert f"make an empty file {CLOCK_FILE} in the data directory" in begun
    assert ended == "this machine's clock fits the rounds again"


def test_how_far_it_is_off_is_said_in_words() -> None:
    lengths = (0, 61, HOUR, 25 * HOUR, YEAR, 10 * YEAR)
    assert [span(seconds) for seconds in lengths] == [
        *("0 minutes", "1 minute", "60 minutes", "25 hours", "365 days", "10 years")
    ]


@pytest.mark.parametrize("step", [HOUR + 60, YEAR])
def test_a_clock_that_nobody_contradicts_is_followed_in_one_step(step: float, place: Place) -> None:
    place.open(2)
    place.clock += step
    place.uploads = 0
    place.open(5)
    assert place.numbers[-1] - place.numbers[0] == 6, "one empty round says nothing"
    place.open(1)
    assert place.numbers[-1] in place.keys.chain.rounds_around(place.clock)
    assert len(place.announcer._keyring._keys) == 1, "keys follow in one step, and leave nothing behind"
    place.clock -= step
    place.open(10)
    assert place.numbers == sorted(set(place.numbers)), "numbers never go back"


def test_a_clock_that_is_wrong_for_a_moment_costs_no_number_even_if_nobody_is_there(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.uploads = 0
    place.open(20)
    place.clock += YEAR
    place.open(4)
    place.clock -= YEAR
    place.open(20)
    assert place.numbers == list(range(place.numbers[0], place.numbers[0] + 44))
    assert len(said(caplog)) == 2


@pytest.mark.parametrize("late", [20.0, 55.0])
def test_rounds_that_are_slow_leave_numbers_out_whoever_takes_part(late: float, place: Place) -> None:
    for _ in range(int(3000 / late)):
        place.open()
        place.clock += late
    around = place.keys.chain.rounds_around(place.clock)
    assert around[len(around) // 4] - 40 <= place.numbers[-1] < around[len(around) // 2]


def test_a_small_step_is_not_worth_a_word(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.open()
    for step in (-1200, 2400, -600):
        place.clock += step
        place.open()
    assert said(caplog) == []


# -- at the start -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "uptime"),
    [(YEAR, 1030.0), (10 * YEAR, 5.0), (8 * DAY, 9 * DAY), (DAY, 1030.0), (2 * HOUR, 1030.0)],
)
def test_a_clock_that_may_be_in_the_future_is_followed_only_if_nobody_comes(
    seconds: float, uptime: float, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.open(10)
    place.restart(seconds, uptime)
    place.uploads = 0
    place.open(10)
    place.uploads = 2
    place.open(10)
    first = int(NOW * 1000) // place.keys.chain.round_ms
    assert place.numbers == list(range(first, first + 30))
    assert [("ahead of the rounds" in line) for line in said(caplog)] == [True]
    place.restart(0, uptime)
    place.uploads = 0
    place.open(21)
    assert place.numbers[-1] in place.keys.chain.rounds_around(place.clock)


@pytest.mark.parametrize(
    ("seconds", "uptime"), [(12 * HOUR, 1000 + 12 * HOUR), (12 * HOUR, 30.0), (6 * DAY, 30.0), (60.0, 1060.0)]
)
def test_after_a_night_off_rounds_have_the_clocks_numbers_at_once(
    seconds: float, uptime: float, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.open(10)
    place.restart(seconds, uptime)
    at_start = place.clock_round
    place.open()
    assert place.numbers[-1] == at_start
    assert said(caplog) == []


@pytest.mark.parametrize("seconds", [-HOUR, -DAY, -YEAR])
def test_a_clock_that_went_back_meanwhile_is_said_and_stops_no_round(
    seconds: float, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.open(10)
    place.restart(seconds, 5.0)
    place.open(10)
    assert place.numbers == list(range(place.numbers[0], place.numbers[0] + 20))
    assert [("behind the rounds" in line) for line in said(caplog)] == [True]


@pytest.mark.parametrize("step", [-YEAR, YEAR])
def test_the_operator_may_say_that_the_clock_is_right(step: float, tmp_path: Path) -> None:
    options = parse_arguments(["--data-dir", str(tmp_path)])
    clock = [NOW]
    settings = ServiceSettings(clock=lambda: clock[0], uptime=lambda: 1000.0)

    def first_number() -> int:
        service = build_service(options, settings)
        opened = service._announcer.open_next(service.accounts, service.prekeys, lambda: 2.0)
        assert opened is not None
        service._storage.set_last_round(0, service._announcer.last_round)
        number = Announcement.decode(opened.announcement, service.chain.geometry).round_number
        service._storage.close()
        return number

    before = first_number()
    storage = Storage(tmp_path / "server.sqlite")
    chain = parse_chain((tmp_path / "chain.toml").read_bytes())
    storage.add(StoredAccount(0, "alice", entry_of(chain, "alice").raw, b"", b"", b"", before))
    clock[0] += step
    assert abs(first_number() - before) < 5000, "left alone, they go on"
    (tmp_path / CLOCK_FILE).touch()
    assert first_number() == int(clock[0] * 1000) // 2000 + 1
    assert not (tmp_path / CLOCK_FILE).exists(), "once: else each start would use numbers again"
    assert storage.last_round(0) <= storage.number(LAST_ROUND)
    storage.close()


# -- a longer chain -----------------------------------------------------------------------------------------


class Chained(Place):
    """The same with a later hop, whose clocks are its own."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        two = make_chain(2)
        self.hop_clock, self.hop_seconds = NOW, 0.0
        self.is_away = self.open_fails = False
        world = HopEnvironment(os.urandom, lambda: self.hop_clock, lambda: self.hop_seconds)
        state = HopState(None, two.chain.chain_id)
        self.hop = LaterHop(two.chain, 1, two.identities[1], state, world, None)
        patch.setattr(iirs.server.announcer, "NextHopLink", lambda *_: self)
        super().__init__(ServerKeys(two.chain, two.chain_file, two.identities[0], *make_certificate()))

    def prepare(self, request: Prepare, give_up_at: float) -> object:
        if self.is_away:
            raise RefusedError(1, Refusal.UNREACHABLE)
        return self.hop.prepare(request, give_up_at)

    def open_round(self, announcement: bytes, give_up_at: float) -> None:
        if self.open_fails:
            raise RefusedError(1, Refusal.UNREACHABLE)
        self.hop.open_round(announcement, give_up_at)

    def set_up(self, batch: Batch) -> None:
        self.hop.context(batch.context.round_number)
        self.hop.set_up(batch)

    def exchange(self, batch: Batch) -> list[bytes]:
        self.hop.context(batch.context.round_number)
        return self.hop.exchange(batch)

    def collect_invitations(self, batch: Batch) -> Bundle:
        self.hop.context(batch.context.round_number)
        return self.hop.collect_invitations(batch)

    def open(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            super().open()
            self.hop_clock += self.keys.chain.round_ms / 1000
            self.hop_seconds += self.keys.chain.round_ms / 1000


@pytest.fixture
def chained(monkeypatch: pytest.MonkeyPatch) -> Chained:
    return Chained(monkeypatch)


@pytest.mark.parametrize("step", STEPS)
def test_the_entrys_clock_costs_a_chain_nothing(step: float, chained: Chained) -> None:
    chained.open(5)
    chained.clock += step
    chained.uploads = 0
    chained.open(30)
    assert len(chained.numbers) >= 34, "the hops are asked once whether they agree with it"
    assert chained.numbers[-1] in chained.keys.chain.rounds_around(chained.hop_clock)


@pytest.mark.parametrize("step", STEPS)
def test_a_later_hops_clock_costs_a_chain_nothing_and_is_said_once(
    step: float, chained: Chained, caplog: pytest.LogCaptureFixture
) -> None:
    chained.open(5)
    chained.hop_clock += 1.1 * step
    chained.open(30)
    chained.hop_clock -= 1.1 * step
    chained.open()
    assert chained.numbers == list(range(chained.numbers[0], chained.numbers[0] + 36))
    assert [line[:30] for line in said(caplog)] == [
        "this machine's clock was set, ",
        "this machine's clock fits the ",
    ]


def test_a_chain_that_slept_finds_its_numbers(chained: Chained) -> None:
    chained.open(5)
    chained.clock += 5 * HOUR
    chained.hop_clock += 5 * HOUR  # the monotonic clocks stood still
    chained.uploads = 0  # clients refuse the old ones
    chained.open(6)
    assert chained.numbers[-1] in chained.keys.chain.rounds_around(chained.clock)


def test_an_entry_that_started_in_the_future_goes_on_when_the_hops_disagree(chained: Chained) -> None:
    """Fixed: it asked for the wrong number until it was started anew, its clock right or not."""
    chained.open(5)
    chained.restart(YEAR, 10.0)
    chained.open(3)
    last = chained.numbers[-1]
    assert last in chained.keys.chain.rounds_around(chained.hop_clock)
    chained.clock -= YEAR
    chained.open(3)
    assert chained.numbers[-3:] == [last + 1, last + 2, last + 3]


def test_after_hours_without_a_hop_rounds_have_the_clocks_numbers(chained: Chained) -> None:
    chained.open(5)
    chained.is_away = True
    chained.open(2)
    for clock in ("clock", "hop_clock", "uptime", "hop_seconds"):
        setattr(chained, clock, getattr(chained, clock) + 5 * HOUR)
    chained.open(2)
    chained.is_away = False
    chained.open(2)
    assert chained.numbers[-1] in chained.keys.chain.rounds_around(chained.clock)


def test_no_round_leads_a_hop_away_from_its_clock() -> None:
    """An hour at a time, an entry could otherwise lead it anywhere."""
    keys = make_chain(2)
    clock, seconds, number = [NOW], [0.0], int(NOW * 1000) // keys.chain.round_ms
    world = HopEnvironment(os.urandom, lambda: clock[0], lambda: seconds[0])
    hop = LaterHop(keys.chain, 1, keys.identities[1], HopState(None, keys.chain.chain_id), world, None)
    hour = int(HOUR * 1000) // keys.chain.round_ms
    hop.prepare(setup_of(number + hour), math.inf)
    with pytest.raises(RefusedError, match="clock"):
        hop.prepare(setup_of(number + hour + 1), math.inf)
    clock[0] -= YEAR
    hop.prepare(setup_of(number + hour), math.inf)
    with pytest.raises(RefusedError, match="clock"):
        hop.prepare(setup_of(number + hour + 1), math.inf)
    clock[0] += 2 * YEAR  # to a time that a round fits: from now on it is this that counts
    hop.prepare(setup_of(int(clock[0] * 1000) // keys.chain.round_ms), math.inf)
    with pytest.raises(RefusedError, match="clock"):
        hop.prepare(setup_of(number), math.inf)


def test_whoever_logs_in_finds_a_key_however_long_no_round_can_be_announced(chained: Chained) -> None:
    """Fixed: after two minutes the entry showed a key that it had erased, and every login was refused."""
    now = [0.0]
    chained.announcer._keyring._clock = lambda: now[0]
    chained.open(3)
    shown, chained.is_away = chained.announcer.keys_message().body, True
    size = chained.keys.chain.geometry.epoch_key_size
    seen = {shown[:size]}
    for _ in range(100):
        chained.open()
        now[0] += chained.keys.chain.round_ms / 1000
        keys = [key for key in chained.announcer._keyring._keys if key.dies_at > now[0] + 10]
        shown = chained.announcer.keys_message().body
        assert shown[:size] in [key.public.encode() for key in keys], "it would die before the login arrives"
        assert len(chained.announcer._keyring._keys) <= 2
        seen.add(shown[:size])
    assert len(seen) >= 3, "each lasts no longer than before"
    chained.is_away = False
    chained.open()
    assert chained.announcer.keys_message().body[:size] == shown[:size]


def test_why_rounds_will_be_lost_is_said_once(chained: Chained, caplog: pytest.LogCaptureFixture) -> None:
    """Fixed: a line a round for as long as a hop could not take part."""
    for fails in (True, True, False, True):
        chained.open_fails = fails
        chained.open()
    assert said(caplog) == ["the round that is open will be lost: hop 1 does not answer"] * 2


def test_prekeys_are_not_lost_while_setups_are_rationed(chained: Chained) -> None:
    """Fixed: those that came were announced with each round that then was none, and none online had them."""
    announced: list[int] = []
    prekeys = chained.service.prekeys
    chained.open_fails = True
    for _ in range(8):
        before = len(chained.numbers)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prekeys, "announce", lambda length, number: announced.append(number) or ())
            chained.open()
        assert len(announced) == len(chained.numbers) >= before
    assert len(chained.numbers) == 3, "three setups at once, and then none for a while"


def test_an_entry_that_was_stopped_has_three_setups_and_one_that_crashed_has_one(chained: Chained) -> None:
    chained.open(3)
    chained.restart(1.0, 2000.0)
    assert chained.announcer._ration.left() == 3
    chained.open(3)
    chained.storage.set_numbers(chained.service._database._left.numbers)
    chained.start()
    assert chained.announcer._ration.left() == 1


def test_a_hop_whose_operator_says_that_its_clock_is_right_forgets_rounds_and_not_people(
    tmp_path: Path,
) -> None:
    two = make_chain(2)
    keys = HopKeys(two.chain, 1, two.identities[1])
    state = load_state(tmp_path, keys)
    state.extend([bytes(ENTRY_SIZE)])
    state.set_announced(7)
    assert load_state(tmp_path, keys).announced == 7
    (tmp_path / CLOCK_FILE).touch()
    again = load_state(tmp_path, keys)
    assert (again.announced, max(again.rounds.values())) == (-1, -1)
    assert again.witnessed == state.witnessed
    assert not (tmp_path / CLOCK_FILE).exists()


# -- what else a clock moves --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Behind:
    """A session, by whose account it is."""

    position: int


def test_a_session_too_many_epochs_behind_stops_no_round(place: Place) -> None:
    """Fixed: each round that it was in ended with an error, and nobody was told anything."""
    far = (MAX_STEPS + 10) * CHANNEL_ROUNDS
    late, current = EntryChannel(bytes(32), b"", 0), EntryChannel(bytes(32), b"", MAX_STEPS)
    context = RoundContext(place.keys.chain.chain_id, far, bytes(32))
    place.service.mix_net.open_round(context, sets_up=True, invites=False)
    outcome = place.service.mix_net.close_round({Behind(0): late, Behind(1): current})
    assert outcome is not None
    assert not outcome.lost
    assert outcome.replies.keys() == {Behind(1)}


def test_hops_know_each_other_whatever_their_clocks_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed: before 2020, where clocks without a battery start, the next hop was taken for a stranger."""
    monkeypatch.setattr(iirs.tls, "_VALID_FROM", iirs.tls._VALID_FROM.replace(year=2119))
    one, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    stranger = Ed25519PrivateKey.generate()
    assert _shake_hands(one, other, expected=one)
    assert not _shake_hands(stranger, other, expected=one)


def _shake_hands(client: Ed25519PrivateKey, server: Ed25519PrivateKey, expected: Ed25519PrivateKey) -> bool:
    public = {key: key.public_key().public_bytes_raw() for key in (server, expected)}
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = link_context(client, public[server], server_side=False).wrap_bio(to_client, to_server)
    answers = link_context(server, public[expected], server_side=True).wrap_bio(
        to_server, to_client, server_side=True
    )
    done = set()
    for _ in range(4):
        for end in (asks, answers):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return len(done) == 2


# -- a real server ------------------------------------------------------------------------------------------

ROUND = re.compile(r"iirs\.server round (\d+):")


@pytest.mark.slow
def test_a_server_runs_rounds_and_ends_however_its_clock_is_set(tmp_path: Path) -> None:
    """Fixed: set back, no round until it was that time again; forward, gigabytes, and no end by SIGTERM."""
    clock, log = tmp_path / "clock", tmp_path / "log"
    clock.write_text("0")
    program = (sys.executable, "-m", "tests.set_clock", str(clock), "iirs.server.main")
    options = ("--ephemeral", "--round-seconds", "0.1", "--log-level", "info")
    with log.open("w") as lines, server(*options, program=program, log=lines) as (process, _):
        for step in [*STEPS, 0.0]:
            replace_text(clock, str(step))
            before = len(ROUND.findall(log.read_text()))
            wait_until(lambda before=before: len(ROUND.findall(log.read_text())) > before + 3, PATIENT)
        process.terminate()
        assert process.wait(PATIENT) == 0
    numbers = [int(number) for number in ROUND.findall(log.read_text())]
    assert numbers == sorted(set(numbers))
    assert log.read_text().count("the rounds, which go on") <= len(STEPS)


def replace_text(path: Path, text: str) -> None:
    """Write a file as a whole: whoever reads it never finds half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
