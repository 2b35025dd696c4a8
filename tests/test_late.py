"""Whoever is merely late loses rounds, never the connection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from iirs.chain import JoinLink
from iirs.client.events import ConnectionChanged, ConnectionState, Notice, TextReceived
from iirs.prekey import Prekey
from iirs.server.settings import ServiceSettings
from iirs.suite import HYBRID
from iirs.wire.limits import CloseReason
from tests.harness import Person, town, wait_until
from tests.raw import Session
from tests.slow_line import jitter, slow_line
from tests.test_prekeys_served import Uploading

MANY = ServiceSettings(registrations_burst=1000)


def test_first_uploads_that_arrive_rounds_late_and_together_cost_nobody_the_connection(
    tmp_path: Path,
) -> None:
    with town(tmp_path, paced=False) as place:
        carol = Uploading(place, "carol")
        session = first_round(carol)
        with session.end as end:
            held = []
            for _ in range(3):
                held += [carol.prekey(session), session.upload()]
                place.service.run_round()
                session.next_announcement()
            end.say(*held, carol.prekey(session), session.upload())
            wait_until(lambda: place.service.mix_net.collected == 1)
            place.service.run_round()
            assert session.next_announcement() == 1  # the ones before were late
            place.service.run_round()
            assert session.next_announcement() == 0
            known = place.service.prekeys.known(1, session.announcement.round_number)
            assert [Prekey.decode(item).public for item in known] == [carol.pair.public_bytes]


def test_a_prekey_of_the_last_period_may_come_late_too(tmp_path: Path) -> None:
    with town(tmp_path, paced=False, prekey_rounds=1) as place:
        carol = Uploading(place, "carol")
        session = first_round(carol)
        with session.end as end:
            held = [carol.prekey(session), session.upload()]
            place.service.run_round()
            session.next_announcement()
            carol.pair = HYBRID.generate()
            end.say(*held, carol.prekey(session), session.upload())
            wait_until(lambda: place.service.mix_net.collected == 1)


def test_more_uploads_than_rounds_were_announced_end_the_session(tmp_path: Path) -> None:
    with town(tmp_path, paced=False) as place:
        carol = Uploading(place, "carol")
        session = first_round(carol)
        with session.end as end:
            end.say(session.upload(0), session.upload(1))
            assert end.ending() is CloseReason.PROTOCOL


def test_on_a_line_with_jitter_nobody_is_thrown_out_and_texts_arrive(tmp_path: Path) -> None:
    seconds = 0.08
    with (
        town(tmp_path, round_seconds=0.5, settings=MANY) as place,
        slow_line(place.port, jitter(lambda: seconds)) as port,
    ):
        link = JoinLink("127.0.0.1", port, place.service.chain.chain_id)
        people = [place.connect(place.register(f"person{number}"), link=link) for number in range(5)]
        place.introduce(*people[:2])
        people[0].connection.send(people[1].name, "slowly")
        people[1].wait_for(TextReceived, lambda event: event.text == "slowly")
        seconds = 0.4  # there and back more than a round: most uploads are late
        late = sum(_times_late(person) for person in people)
        wait_until(lambda: sum(_times_late(person) for person in people) > late + 15)
        assert [_times_online(person) for person in people] == [1] * len(people)


def first_round(who: Uploading) -> Session:
    """Log in and read the first announcement, in a town where nobody else runs rounds."""
    with ThreadPoolExecutor(1) as pool:
        logging_in = pool.submit(who.session)
        wait_until(lambda: bool(who.place.service.channels()))
        who.place.service.run_round()
        return logging_in.result()


def _times_online(person: Person) -> int:
    changes = [event for event in person.drain() if isinstance(event, ConnectionChanged)]
    return sum(change.state is ConnectionState.ONLINE for change in changes)


def _times_late(person: Person) -> int:
    return sum(isinstance(event, Notice) and "too late" in event.sentence for event in person.drain())
