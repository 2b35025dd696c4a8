"""Sentences as people read them: one word for one thing, numbers that agree, nothing beyond what is known."""

from __future__ import annotations

import datetime
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from iirs.chain import ONE_SERVER
from iirs.client.events import GroupState, PeerState
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.talk_sentences import about
from iirs.client.text.key_names import key_name
from iirs.client.text.text_layout import day_name, duration, short_day, size_words
from iirs.client.text.translate import set_language
from iirs.client.window.pages.group_page import group_cost
from tests.test_words import ROOT, TOOL

SERVER_LINKS = re.compile(
    r"(server|invitation|invite|full|whole|class) link|link (of|to) the server|server's link|"
    r"the link\b(?! to)",
    re.IGNORECASE,
)
"""Other words for a join link. Alone, "the link" is whatever the reader takes it for."""
PROGRAMS = {
    "iirs.client.main": (),
    "iirs.server.main": (),
    "iirs.server.hops.main": (),
    "iirs.server.hops.setup_main": ("init", "hop", "join", "show"),
    "iirs.demo.main": (),
    "iirs.meter.main": (),
}
UNITS = {"s", "min", "h", "KiB", "%"}
ALWAYS_MANY = {"bytes", "characters", "members", "words", "servers"}
"""Of these there are several whenever their sentence is said."""
VERBS = {"is", "lets", "asks", "wants", "sends", "sees", "has"}


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    set_language("en")


@cache
def shown() -> list[tuple[str, ...]]:
    """Return every sentence of the window, with its plural if it has one."""
    return [m.id if isinstance(m.id, tuple) else (m.id,) for m in TOOL.collected() if m.id]


def helps(capsys: pytest.CaptureFixture[str]) -> str:
    for module, parts in PROGRAMS.items():
        for part in ((), *((part,) for part in parts)):
            with pytest.raises(SystemExit):
                importlib.import_module(module).main([*part, "--help"])
    return capsys.readouterr().out


def test_a_join_link_is_called_so_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs" / f"{n}.md" for n in ("commands", "deploy")),
    ]
    texts = [
        "\n".join(s for forms in shown() for s in forms),
        helps(capsys),
        *(p.read_text("utf-8") for p in pages),
    ]
    for text in texts:
        assert [found.group() for found in SERVER_LINKS.finditer(" ".join(text.split()))] == []


def test_another_word_for_it_is_noticed() -> None:
    for words in (
        "Paste the server link",
        "ask for the invitation link",
        "the server's link",
        "Copy the link.",
    ):
        assert SERVER_LINKS.search(words)


@pytest.mark.parametrize("source", TOOL.sources(), ids=lambda path: path.parent.parent.name)
def test_a_translation_has_one_word_for_it_too(source: Path) -> None:
    german = {"join link": "Beitrittslink", "list of people": "iste", "registered": "registriert"}
    for message in TOOL.read(source):
        for english, word in german.items():
            if isinstance(message.id, str) and english in message.id.lower():
                assert word in str(message.string), message.id


def test_what_one_server_could_see_is_said_in_the_same_words_wherever_it_is_said() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = " ".join(page.read_text("utf-8").split())
        assert text.count("trusted not to look") == text.count(ONE_SERVER.removesuffix("."))
    said = [
        s for path in (ROOT / "iirs").rglob("*.py") for s in [path.read_text("utf-8")] if "not to look" in s
    ]
    assert len(said) == 1


def test_every_number_has_forms_for_one_and_many() -> None:
    lacking = []
    for forms in shown():
        for word in re.findall(r"\{\w+\} ([^\W\d_]+|%)", forms[0]):
            if len(forms) == 1 and word.endswith("s") and word not in UNITS | ALWAYS_MANY | VERBS:
                lacking.append(forms[0])
    assert lacking == []
    assert not [forms for forms in shown() if "(s)" in "".join(forms)]


@pytest.mark.parametrize("language", ["en", "de"])
def test_one_of_anything_is_said_as_one(language: str) -> None:
    set_language(language)
    assert size_words(1) == {"en": "1 byte", "de": "1 Byte"}[language]
    assert duration(2 * 86_400) == {"en": "2 days", "de": "2 Tage"}[language]
    cost = group_cost(1, 1)
    assert not re.search(r"\b1 (rounds|members|conversations|Runden|Mitglieder|Gespräche)\b", cost)
    assert {"en": "in about one round.", "de": "in etwa einer Runde."}[language] in cost
    assert {"en": "in about 4 rounds.", "de": "in etwa 4 Runden."}[language] in group_cost(8, 2)


@pytest.mark.parametrize(
    ("language", "name", "short"),
    [("en", "Thursday, 5 March 2026", "5 Mar"), ("de", "Donnerstag, 5. März 2026", "5. Mär")],
)
def test_days_are_said_in_the_language_of_the_window(language: str, name: str, short: str) -> None:
    set_language(language)
    day = datetime.date(2026, 3, 5)
    assert (day_name(day, day + datetime.timedelta(9)), short_day(day)) == (name, short)


def test_a_group_of_which_nobody_is_connected_is_not_said_to_pass_anything_on() -> None:
    model = ChatModel("alice")
    talk = model.talk("#group")
    talk.group, talk.members = GroupState.JOINED, ("alice", "bob", "carol")
    assert about(model, talk) == "Nobody of this group is connected to you just now. What you write waits."
    model.talk("bob").state = PeerState.CONNECTED
    assert about(model, talk) == "One member of this group is connected to you, and passes on what you write."
    model.talk("carol").state = PeerState.CONNECTED
    assert about(model, talk).startswith("2 members of this group are connected to you, and pass on")


def test_keys_are_called_as_they_are_on_the_keyboard() -> None:
    assert (key_name("Ctrl++"), key_name("Ctrl+K", command=True)) == ("Ctrl++", "Cmd+K")
    set_language("de")
    names = [key_name(shown) for shown in ("Ctrl+K", "Ctrl+-", "Shift+Enter", "Alt+↑", "F1", "Esc")]
    assert names == ["Strg+K", "Strg+-", "Umschalt+Eingabe", "Alt+↑", "F1", "Esc"]
