"""What has to be known of a chain of one server is said everywhere, in the same words."""

from __future__ import annotations

import gettext
from pathlib import Path

import pytest

from iirs.chain import ONE_SERVER
from iirs.client.model.privacy_sentences import explained
from iirs.meter.report import MeterSettings, read_meter
from iirs.noise import NO_NOISE
from iirs.server import main as server_main

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/threat-model.md")
OTHERWISE = (
    "is trusted not to look",
    "could look who",
    "which sees who talks to whom",
    "has to be trusted not",
)
"""How it was said elsewhere, each time a little differently."""


def sources() -> dict[str, str]:
    """Return what is shown or printed by place, on one line each."""
    modules = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in (ROOT / "iirs").rglob("*.py")}
    pages = {name: (ROOT / name).read_text("utf-8") for name in PAGES}
    return {place: " ".join(text.split()) for place, text in {**modules, **pages}.items()}


def check_sources(texts: dict[str, str]) -> None:
    """Pages say the sentence, modules name it, and nobody says it otherwise."""
    for page in PAGES:
        assert ONE_SERVER in texts[page], page
    assert "ONE_SERVER" in texts["iirs/client/window/pages/login_page.py"]
    for place, text in texts.items():
        assert not [words for words in OTHERWISE if words in text], place
        assert "must be trusted not to" not in text.replace(ONE_SERVER, "") or place in PAGES, place


def test_pages_and_programs_say_it_in_the_same_words() -> None:
    check_sources(sources())


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("README.md", lambda text: text.replace(ONE_SERVER, "One server sees all.")),
        ("docs/threat-model.md", lambda text: text.replace("must be trusted not", "is trusted not")),
        ("iirs/client/window/pages/login_page.py", lambda text: text.replace("ONE_SERVER", "_ONE_OWNER")),
        ("iirs/meter/report.py", lambda text: text + "the chain is one server, which sees who talks to whom"),
        ("iirs/server/main.py", lambda text: text + "whoever runs it must be trusted not to peep"),
    ],
)
def test_other_words_are_caught(place: str, change: object) -> None:
    texts = sources()
    texts[place] = change(texts[place])  # type: ignore[operator]
    with pytest.raises(AssertionError):
        check_sources(texts)


def test_server_settings_and_meter_say_it_of_one_server_only() -> None:
    assert ONE_SERVER in server_main._TRUST_ALONE
    assert ONE_SERVER in explained(1)
    assert ONE_SERVER not in explained(3)
    assert "\n".join(read_meter(MeterSettings(NO_NOISE, hops=1)).lines()).count(ONE_SERVER) == 1
    assert ONE_SERVER not in read_meter(MeterSettings(NO_NOISE, hops=2)).verdict


def test_it_is_said_in_german_too() -> None:
    german = gettext.translation("iirs", ROOT / "iirs" / "locale", ["de"]).gettext(ONE_SERVER)
    assert german != ONE_SERVER
    assert "vertrauen" in german
