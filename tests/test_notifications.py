"""Notifications, as a desktop gets them: a bus of the test's own, with a service of the test's own on it."""

# ruff: noqa: F722, F821, N802, UP037  # a D-Bus method is described by its names and annotations

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_method

from iirs.client.desktop.notification_text import Notification, merged, notification
from iirs.client.desktop.notifications import Notifications
from iirs.client.store.preferences import Notify, Preferences
from tests.awaited import awaited
from tests.harness import PATIENT_SECONDS

NAME = "org.freedesktop.Notifications"


class Service(ServiceInterface):
    """Takes notifications and keeps them."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.shown: list[tuple[str, str]] = []

    @dbus_method()
    def Notify(
        self,
        app: "s",
        replaces: "u",
        icon: "s",
        title: "s",
        body: "s",
        actions: "as",
        hints: "a{sv}",
        timeout: "i",
    ) -> "u":
        self.shown.append((title, body))
        return len(self.shown)

    @dbus_method()
    def GetCapabilities(self) -> "as":
        return ["body", "body-markup", "body-images"]

    @dbus_method()
    def GetServerInformation(self) -> "ssss":
        return ["a test", "nobody", "1", "1.2"]


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"there never was {awaited(condition)}"
        time.sleep(0.01)


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    program = shutil.which("dbus-daemon")
    if program is None:
        assert not os.environ.get("IIRS_REQUIRE_WINDOW"), "IIRS_REQUIRE_WINDOW is set; no dbus-daemon"
        pytest.skip("no dbus-daemon")
    command = [program, "--session", "--print-address", "--nofork"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        address = daemon.stdout.readline().strip()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        yield address
        daemon.terminate()


@pytest.fixture
def service(bus: str) -> Iterator[Service]:
    made: list[Service] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        there = await MessageBus(bus_address=bus).connect()
        shows = Service()
        there.export("/org/freedesktop/Notifications", shows)
        await there.request_name(NAME)
        made.append(shows)

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until(lambda: made)
    yield made[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)


def news(kind: Notify, text: str = "a secret word") -> Notification | None:
    return notification([("bob", "bob", text)], Preferences(notifications=kind), locked=False)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(Notify.WITHOUT_TEXT, ("iirs", "A new message")), (Notify.WITH_TEXT, ("bob", "a secret word"))],
)
def test_the_desktop_gets_what_was_chosen(service: Service, kind: Notify, expected: tuple[str, str]) -> None:
    notifications = Notifications()
    told = news(kind)
    assert told is not None
    notifications.show(told)
    until(lambda: service.shown)
    assert service.shown == [expected]
    assert notifications.available is True
    notifications.close()


def test_off_makes_nothing_to_show() -> None:
    assert news(Notify.OFF) is None


def test_what_comes_in_quick_succession_is_told_in_one(service: Service) -> None:
    notifications = Notifications(interval=1.0)
    told = news(Notify.WITH_TEXT)
    assert told is not None
    notifications.show(told)
    until(lambda: len(service.shown) == 1)
    for _ in range(3):
        notifications.show(told)
    until(lambda: len(service.shown) == 2)
    assert service.shown == [("bob", "a secret word"), ("iirs", "3 new messages")]
    notifications.close()


def test_what_waits_when_the_window_locks_names_nobody(service: Service) -> None:
    """Fixed: a text that waited out the interval was told with its name after the window had been locked."""
    notifications = Notifications(interval=1.0)
    told = news(Notify.WITH_TEXT)
    assert told is not None
    notifications.show(told)
    until(lambda: len(service.shown) == 1)
    notifications.show(told)
    notifications.conceal()
    until(lambda: len(service.shown) == 2)
    assert service.shown[1] == ("iirs", "A new message")
    notifications.close()


def test_a_text_is_no_markup_and_fetches_nothing(service: Service) -> None:
    notifications = Notifications()
    told = news(Notify.WITH_TEXT, '<img src="https://example.org/seen.png"> &lt;')
    assert told is not None
    notifications.show(told)
    until(lambda: service.shown)
    assert not set("<>&") & set("".join(service.shown[0]))
    notifications.close()


def test_a_bus_with_nobody_on_it_is_quietly_none(bus: str) -> None:
    notifications = Notifications()
    notifications.show(Notification("iirs", "A new message"))
    until(lambda: notifications.available is False)
    notifications.show(Notification("iirs", "A new message"))
    notifications.close()


def test_no_bus_at_all_is_quietly_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus")
    notifications = Notifications()
    until(lambda: notifications.available is False)
    notifications.close()
    notifications.show(Notification("iirs", "after the end"))
    notifications.close()


def test_several_are_counted_and_name_nobody() -> None:
    one, more = Notification("bob", "a secret word"), Notification("iirs", "2 new messages", 2)
    assert merged(None, one) == one
    assert merged(one, more) == Notification("iirs", "3 new messages", 3)
