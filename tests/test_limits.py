"""How long a text may be: one number for a person and one for a group, and what fits them fits the wire."""

from __future__ import annotations

import pytest

from iirs.client.chat_session import NOTE_MAX, TEXT_MAX
from iirs.client.messenger.group_item import TEXT_MAX as GROUP_TEXT_MAX
from iirs.client.messenger.group_item import GroupItem, GroupItemKind
from iirs.client.messenger.limits import check_text, text_limit, text_size
from iirs.client.messenger.notes import GroupNote, encode_note
from iirs.errors import AccountError

GROUP = "#" + "ab" * 16


def test_a_person_and_a_group_have_a_limit_each() -> None:
    assert text_limit("bob") == TEXT_MAX == 65_536
    assert text_limit(GROUP) == GROUP_TEXT_MAX == 60_000


@pytest.mark.parametrize("talk", ["bob", GROUP])
def test_exactly_the_limit_goes_and_one_byte_more_does_not(talk: str) -> None:
    limit = text_limit(talk)
    check_text(talk, "a" * limit)
    check_text(talk, "ü" * (limit // 2))
    with pytest.raises(AccountError, match=f"{limit + 1} bytes; at most {limit} "):
        check_text(talk, "a" * (limit + 1))
    with pytest.raises(AccountError, match=f"{limit + 2} bytes; at most {limit} "):
        check_text(talk, "ü" * (limit // 2 + 1))


def test_the_size_is_that_of_utf_8() -> None:
    assert [text_size(text) for text in ("", "a", "ü", "😀", "a\nb\tc", "\ud800")] == [0, 1, 2, 4, 5, 1]


@pytest.mark.parametrize("character", ["a", '"', "\\", "\n", "\x00", "\x1b", "\x7f", "ü", "😀"])
def test_whatever_a_group_takes_fits_its_note(character: str) -> None:
    most = GROUP_TEXT_MAX // text_size(character)
    largest = GroupItem(
        bytes(16), GroupItemKind.TEXT, 2**32 - 1, bytes(16), 2**63 - 1, character * most, signature=bytes(64)
    )
    check_text(GROUP, largest.text)
    assert len(encode_note(GroupNote(largest.to_value()))) <= NOTE_MAX
    with pytest.raises(AccountError):
        check_text(GROUP, largest.text + character * (GROUP_TEXT_MAX - most * text_size(character) + 1))


def test_control_characters_counted_once_would_not_fit() -> None:
    item = GroupItem(bytes(16), GroupItemKind.TEXT, 0, bytes(16), 0, "\x1b" * GROUP_TEXT_MAX)
    assert len(encode_note(GroupNote(item.to_value()))) > NOTE_MAX
