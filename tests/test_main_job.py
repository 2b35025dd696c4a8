"""Two people chat through rounds, mix net and dead drops: real service, real TLS, real clients."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from iirs.client.events import PeerState, TextChanged
from iirs.client.store.log_entry import TextState
from tests.harness import town, wait_until


def test_two_people_exchange_texts_and_part(tmp_path: Path) -> None:
    with town(tmp_path) as place:
        alice, bob = place.person("alice"), place.person("bob")
        place.introduce(alice, bob)
        long_text = "Grüße " * 2000
        for text in ("hello", long_text, "\N{SNOWMAN}"):
            alice.connection.send("bob", text)
        bob.connection.send("alice", "hello yourself")
        wait_until(lambda: len(bob.texts()) == 3 and len(alice.texts()) == 1)
        assert bob.texts() == ["hello", long_text, "\N{SNOWMAN}"]
        assert alice.texts() == ["hello yourself"]
        alice.wait_for(TextChanged, lambda e: e.state is TextState.DELIVERED)
        alice.connection.hang_up("bob")
        bob.wait_state("alice", PeerState.ENDED)
        alice.wait_state("bob", PeerState.IDLE)
        full = [histogram for histogram in place.histograms if histogram == Counter({2: 4})]
        assert len(full) > 5
