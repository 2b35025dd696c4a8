"""What a window says of the server and its rounds: lost, tampered with, paused; and of a fault of its own."""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

import os
import re
from collections.abc import Sequence
from pathlib import Path

from iirs.chain import JoinLink
from iirs.client.account.entry_calls import Home
from iirs.client.window.application import FaultDialog
from iirs.client.window.start import Start
from iirs.server.accounts.database import Storage
from iirs.server.deaddrop import DeadDropManager, DeaddropMessage
from iirs.server.keystore import ChainOptions, make_keys
from iirs.server.service import Service
from iirs.server.settings import ServiceSettings
from tests.harness import CHEAP, FAST_BACKOFF, PASSWORD, town
from tests.offline_page import button
from tests.screen import (
    Screen,
    enter,
    fill_in,
    main_page,
    words,
)
from tests.standby import Pause

pytestmark = [pytest.mark.window, pytest.mark.slow]
pytest_plugins = ["tests.window_fixtures"]


def test_a_lost_server_is_said_and_the_window_comes_back_by_itself(screen: Screen, tmp_path: Path) -> None:
    keys = make_keys(ChainOptions(slots=1, round_seconds=0.25, invite_every=3))
    database = f"sqlite:///{tmp_path / 'server.db'}"
    service = Service(keys, Storage(database), ServiceSettings())
    port = service.start("127.0.0.1", 0)
    start = Start(str(JoinLink("127.0.0.1", port, keys.chain.chain_id)), options=FAST_BACKOFF)
    window = screen.open(Home(tmp_path / "alice", CHEAP), start)
    fill_in(window, "Register", "alice", PASSWORD)
    screen.pump(lambda: window.model.round is not None)
    service.stop()
    screen.pump(lambda: "No connection, trying again." in words(main_page(window).status))
    service = Service(keys, Storage(database), ServiceSettings())
    service.start("127.0.0.1", port)
    try:
        screen.pump(lambda: "Connected" in words(main_page(window).status))
        screen.pump(lambda: "round closes in" in words(main_page(window).status))
        screen.close_all()
    finally:
        service.stop()


def test_a_tampered_round_is_said_and_many_of_them_are_explained(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, to_spoil = DeadDropManager.handle_messages, [0]

    def spoil(manager: DeadDropManager, messages: Sequence[DeaddropMessage]) -> list[bytes]:
        replies = honest(manager, messages)
        if to_spoil[0] and replies:
            to_spoil[0] -= 1
            replies[0] = os.urandom(len(replies[0]))
        return replies

    monkeypatch.setattr(DeadDropManager, "handle_messages", spoil)
    with town(tmp_path, paced=False) as place:  # no round is lost because a machine is busy
        window = enter(screen, place, "alice")
        line = main_page(window).status.health
        screen.pump(lambda: bool(place.service.channels()))
        place.service.run_round()

        def run(rounds: int, spoiled: int) -> None:
            to_spoil[0] = spoiled
            for _ in range(rounds):
                screen.pump(lambda: place.service.mix_net.collected == 1)
                before = window.model.health
                place.service.run_round()
                screen.pump(lambda health=before: window.model.health != health)  # type: ignore[misc]

        def says(pattern: str) -> bool:
            return re.fullmatch(pattern, words(line).strip()) is not None

        run(2, spoiled=0)
        screen.pump(lambda: says(r"All of the last \d+ rounds arrived intact"))
        calm = str(line.text.cget("foreground"))
        run(1, spoiled=1)
        screen.pump(lambda: says(r"1 of the last \d+ rounds did not arrive intact"))
        assert str(line.text.cget("foreground")) != calm
        run(2, spoiled=2)
        somebody = "A server fails, or somebody on the way drops or changes messages"
        repeated = "What you send is repeated until it arrives"
        screen.pump(
            lambda: says(rf"3 of the last \d+ rounds did not arrive intact\. {somebody}\. {repeated}\..*")
        )
        screen.close_all()


def test_a_pause_of_the_rounds_is_said_while_it_lasts(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with town(tmp_path, paced=False) as place:
        pause = Pause(place.service, monkeypatch)
        window = enter(screen, place, "alice")
        page = main_page(window)
        screen.pump(lambda: bool(place.service.channels()))
        place.service.run_round()
        screen.pump(lambda: place.service.mix_net.collected == 1)
        pause.begin()
        sentence = "A server of the chain is not answering. Rounds pause until it is back; nothing is lost."
        screen.pump(lambda: sentence in words(page.banners))
        assert "rounds pause" in words(page.status)
        assert "Connected" in words(page.status)
        pause.tick()
        screen.pump(lambda: window.session is not None and window.session.connection.events.empty())
        assert words(page.banners).count(sentence) == 1
        pause.end()
        screen.pump(lambda: "Rounds go on." in words(page.status))
        assert sentence not in words(page.banners)
        screen.pump(lambda: "round closes in" in words(page.status))
        screen.close_all()


def test_a_fault_in_the_program_is_told_without_what_anybody_wrote(screen: Screen) -> None:
    dialog = FaultDialog(screen.root, screen.theme)
    written = "what bob " + "wrote"
    try:
        raise ValueError(written)
    except ValueError as error:
        dialog.show(ValueError, error, error.__traceback__)
    shown = next(child for child in screen.root.winfo_children() if "Something went wrong" in words(child))
    button(shown, "Copy details").invoke()
    assert "ValueError" in screen.root.clipboard_get()
    assert written not in screen.root.clipboard_get()
    assert not shown.winfo_exists()
