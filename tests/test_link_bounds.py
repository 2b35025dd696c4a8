"""Join links have bounds, and what is remembered of one is the link alone."""

from __future__ import annotations

import pytest

from iirs.chain import HOST_MAX, LABEL_MAX, LINK_MAX, JoinLink
from iirs.client.store.preferences import Preferences
from iirs.client.text.translate import _, set_language
from iirs.errors import ConfigError, LinkError

FINGERPRINT = bytes(range(32))
LONGEST = ".".join(["a" * LABEL_MAX] * 3 + ["b" * (HOST_MAX - 3 * LABEL_MAX - 3)])


def test_the_longest_host_is_taken_and_remembered_whole() -> None:
    link = JoinLink(LONGEST, 65535, FINGERPRINT)
    assert len(LONGEST) == HOST_MAX
    assert JoinLink.parse(str(link)) == link
    assert Preferences.decode(Preferences(link=str(link)).encode()).link == str(link)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LONGEST + "b", "253 characters at most"),
        ("a" * (LABEL_MAX + 1) + ".example", "63 between two dots"),
        ("a." * 5001, "too long for a join link"),
        ("iirs://" + "a" * LINK_MAX, "too long for a join link"),
        ("\u200b" * 10_000_000, "too long for a join link"),
        ("[::::]:12345", "no address|not an address"),
        ("[1]:12345", "not an address"),
        (f"[{'0:' * 100}1]:1", "not an address"),
        ("host:0000012345", "not a join link"),
    ],
)
def test_a_field_that_is_too_long_or_none_is_said(text: str, words: str) -> None:
    with pytest.raises(LinkError, match=words):
        JoinLink.parse(text)


@pytest.mark.parametrize("text", ["no link", "[::::]", "a" * 300, "a" * 20_000])
def test_a_window_says_it_in_its_language(text: str) -> None:
    set_language("de")
    try:
        with pytest.raises(ConfigError) as refused:
            JoinLink.parse(text)
        assert "Beitrittslink" in refused.value.said(_)
    finally:
        set_language("en")


@pytest.mark.parametrize("between", ["/\n", "/ ", "\r\n", "/\t", ""])
@pytest.mark.parametrize("end", ["", "/", "/\n"])
def test_a_line_that_is_broken_before_the_fingerprint_is_understood(between: str, end: str) -> None:
    text = f"iirs://class.example:7000{between}#{FINGERPRINT.hex()}{end}"
    assert JoinLink.parse(text) == JoinLink("class.example", 7000, FINGERPRINT)
