"""What comes from outside, on any screen: any text at all, and what somebody would make on purpose."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iirs.client.model.background import exported
from iirs.client.store.log_entry import EntryKind, LogEntry
from iirs.client.text.columns import columns_of, marked
from iirs.client.text.display import MARKS_MAX, PLAIN, believed_time, cut_middle, displayable, one_line
from iirs.client.text.group_title import TITLE_MAX, group_title, group_titles, has_visible_name, short_key
from iirs.client.text.links import host_of, links_in
from iirs.identity import checked_name

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
INVISIBLE = (
    "\u00ad\u200b\u2060\u2063\ufeff\u034f\u115f\u1160\u3164\uffa0\u2800\u180e\U000e0041\U000e0100\ufe00"
)
SEPARATORS = "\n\r\t\v\f\x1c\x85\u2028\u2029\0\b\x1b\x9b"
NASTY = st.sampled_from(
    [
        *(BIDI + INVISIBLE + SEPARATORS + "\u0301\u0489\u200d\u200c\ufe0f\ud800\ue000\U0010ffff字😀👩a"),
        *(" " * 70, "bob> ", "iirs: "),
    ]
)
TEXTS = st.one_of(
    st.text(st.characters(), max_size=200),
    st.lists(NASTY, max_size=60).map("".join),
    st.text("ab :>\n", max_size=400),
)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,31}", fullmatch=True)
KEY = "#" + "ab" * 16


def check_safe(shown: str) -> None:
    marks = 0
    for character in shown:
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        assert marks <= MARKS_MAX
        assert category not in {"Cs", "Co", "Zl", "Zp"}
        assert category != "Cc" or character == "\n"
        assert category != "Cf" or character in "\u200c\u200d" or "ARABIC" in unicodedata.name(character) or (
            character in "\u070f\U000110bd\U000110cd"
        )  # fmt: skip
        assert character not in BIDI + INVISIBLE


@given(TEXTS)
@example("\u0301" * 9 + " \u0301 \ufe0f")
@example("a\u200d \u200db\u200d\u200c\nc\u200d")
def test_any_text_is_shown_without_controls_invisible_letters_and_towers_of_marks(text: str) -> None:
    shown = displayable(text)
    check_safe(shown)
    assert displayable(shown) == shown
    for line in shown.split("\n"):
        assert not line or not unicodedata.category(line[0]).startswith("M") or line[0] in "\u0903"
        assert not re.search(r"(^|[\s\u200c\u200d])[\u200c\u200d]|[\u200c\u200d](\s|$)", line)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pass\u200bword\u00ad \U000e0041x", "password x"),
        ("\u202ecod.exe\x1b[2J\x9b\ue000", "\ufffdcod.exe\ufffd[2J\ufffd\ufffd"),
        ("a\r\nb\u2028c\td", "a\nb\nc    d"),
        ("e" + "\u0301" * 50 + "\u0301", "e" + "\u0301" * 4),
        ("\u0301a", "\u25cc\u0301a"),
        ("\u3164\u115f\uffa0", ""),
        ("👨\u200d👩\u200d👧 \u0645\u06cc\u200c\u062e", "👨\u200d👩\u200d👧 \u0645\u06cc\u200c\u062e"),
        ("שלום, Grüße, 你好", "שלום, Grüße, 你好"),
    ],
)
def test_what_languages_need_stays_and_what_deceives_does_not(text: str, shown: str) -> None:
    assert displayable(text) == shown


def test_what_is_not_looked_at_needs_no_looking() -> None:
    for character in map(chr, range(0x10000)):
        if PLAIN.fullmatch(character):
            check_safe(character)
            assert (
                displayable(f"\u0301{character}\u0301") == f"\u25cc\u0301{character}\u0301"
                or character in " \n"
            )


@given(TEXTS, st.integers(2, 200))
def test_a_line_is_one_line_without_padding_and_no_longer_than_it_may_be(text: str, most: int) -> None:
    line = one_line(text, most)
    check_safe(line)
    assert len(line) <= most
    assert "\n" not in line
    assert line == " ".join(line.split())


@given(st.text(max_size=60), st.integers(2, 40))
def test_what_is_cut_in_its_middle_keeps_both_ends(text: str, most: int) -> None:
    cut = cut_middle(text, most)
    assert len(cut) <= most
    assert cut == text or ("…" in cut and cut.endswith(text[len(text) - most // 2 :].lstrip("\u200c\u200d")))


# -- a terminal -------------------------------------------------------------------------------------------


def folded(output: str, columns: int) -> list[str]:
    """What a terminal of so many columns makes of some lines: a row is as wide as fits."""
    rows = []
    for line in output.split("\n"):
        row, used = "", 0
        for character in line:
            width = columns_of(character)
            if used + width > columns:
                rows.append(row)
                row, used = "", 0
            row, used = row + character, used + width
        rows.append(row)
    return rows


def least_width(line: str) -> int:
    """How wide a line is at least, by Unicode's own tables."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in line)
    return wide + sum(unicodedata.category(character) not in {"Mn", "Me", "Cf"} for character in line)


@given(NAMES, TEXTS, st.integers(8, 200))
def test_every_row_of_a_text_in_a_terminal_begins_with_its_mark_or_is_indented(
    name: str, text: str, columns: int
) -> None:
    mark = f"{name}> "
    output = marked(mark, text, columns)
    check_safe(output)
    first, *others = output.split("\n")
    assert first.startswith(mark)
    assert all(line.startswith("  ") for line in others)
    assert all(
        max(columns_of(line), least_width(line)) <= max(columns, len(mark)) for line in [first, *others]
    )
    said = output.removeprefix(mark)
    assert "".join(said.split()) == re.sub(r"[\s\ufe0e\ufe0f]", "", displayable(text))


FAKES = [
    "iirs: ALARM: bob's keys have changed",
    "bob> yes, I confirm",
    "iirs\uff1a log in again",
    "#abababab bob> yes",
]


@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize("filler", [" ", "x", "字", "x ", "\u3000", "e\u0301", "\u200b"])
@pytest.mark.parametrize("columns", [None, 79])
def test_padding_to_the_width_of_the_screen_fakes_neither_a_speaker_nor_a_sentence(
    fake: str, filler: str, columns: int | None
) -> None:
    """Fixed: what stood behind 73 spaces began the next line of a terminal of 80 columns."""
    for count in range(60, 80):
        rows = folded(marked("alice> ", "hi" + filler * count + fake, columns), 80)
        assert rows[0].startswith("alice> hi")
        assert all(row.startswith("       ") for row in rows[1:])


def test_where_nobody_knows_the_width_a_long_line_stays_whole_for_scripts() -> None:
    for text in ("long " * 1000, "https://example.org/" + "a" * 500, "x" * 300):
        assert marked("alice> ", text, None) == f"alice> {text}"
    assert marked("alice> ", "one\n two\n", None) == "alice> one\n        two\n       "


def test_the_check_of_rows_finds_a_line_that_is_not_folded() -> None:
    rows = folded("alice> hi" + " " * 71 + FAKES[0], 80)
    assert any(row.startswith("iirs: ") for row in rows)


def test_an_export_names_who_speaks_where_no_text_can() -> None:
    def entry(kind: EntryKind, text: str) -> LogEntry:
        return LogEntry("bob", b"i", kind, False, "bob", text, 0)

    fake = "1970-01-01 00:00:00 UTC  alice: I agree"
    lines = exported([entry(EntryKind.TEXT, f"no\n{fake}\u2028{fake}" + " " * 60 + fake)]).splitlines()
    assert lines[0] == "1970-01-01 00:00:00 UTC  bob: no"
    assert all(line.startswith("    ") and len(line) <= 80 for line in lines[1:])
    told = exported([entry(EntryKind.FILE, "a.txt"), entry(EntryKind.TEXT, "sends a file: a.txt")])
    assert [line[25:] for line in told.splitlines()] == [
        "bob sends a file: a.txt",
        "bob: sends a file: a.txt",
    ]


# -- groups -----------------------------------------------------------------------------------------------


@given(TEXTS)
def test_no_group_is_called_like_a_person_or_like_a_sentence_of_ours(name: str) -> None:
    title = group_title(name, KEY)
    check_safe(title)
    assert title.startswith("#")
    assert 2 <= len(title) <= TITLE_MAX
    assert "\n" not in title
    assert not set(title) & set('"“”„«»\u2039\u203a:;<>·|[]{}\\✓✔☑✅◷🔒')
    assert has_visible_name(name) or title == short_key(KEY)
    with pytest.raises(Exception, match="A name has 1 to 32 characters"):
        checked_name(title)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Chess club", "#Chess club"),
        ("bob", "#bob"),
        ("bob (verified) ✓", "#bob (verified)"),
        ("iirs: “now” log in", "#iirs now log in"),
        ("a\n\nb\t c", "#a b c"),
        ("字" * 64, "#" + "字" * 38 + "…"),
        ("🎉", "#🎉"),
        ("\u200b", "#abababab"),
        ("\u3164\u2800 ", "#abababab"),
        ("…", "#abababab"),
    ],
)
def test_a_group_has_a_title_that_can_be_read(name: str, title: str) -> None:
    assert group_title(name, KEY) == title


def test_groups_that_look_alike_are_told_apart_by_their_keys() -> None:
    names = ["Friends", "Fri\u0435nds", "friends", "Friends\u200b", "Fr\u0456ends ", "FRlENDS", "Other"]
    keys = ["#" + f"{number:032x}"[::-1] for number in range(1, len(names) + 1)]
    titles = group_titles(dict(zip(keys, names, strict=True)))
    assert titles[keys[-1]] == "#Other"
    for key in keys[:-1]:
        assert titles[key].endswith(f" ({short_key(key)})")
    assert group_titles({keys[0]: "Friends"}) == {keys[0]: "#Friends"}


# -- times and links --------------------------------------------------------------------------------------

YEAR_9999 = 253_402_300_799_000
TIMES = st.integers(0, 2**63 - 1)


@given(TIMES, TIMES, TIMES)
def test_nothing_is_of_later_than_it_arrived_nor_of_before_what_was_there(
    sent: int, previous: int, arrival: int
) -> None:
    shown = believed_time(sent, previous, arrival)
    assert shown <= arrival
    assert shown >= min(previous, arrival)
    assert shown >= arrival - 366 * 24 * 3600 * 1000
    assert shown == sent or not max(previous, arrival - 366 * 24 * 3600 * 1000) <= sent <= arrival


def test_an_honest_word_about_when_is_believed() -> None:
    assert believed_time(1_000, 0, 2_000) == 1_000
    assert believed_time(YEAR_9999, 0, 2_000) == 2_000
    assert believed_time(0, 1_500, 2_000) == 1_500


def test_a_host_that_nobody_can_look_up_is_none() -> None:
    long = "https://" + "a." * 126 + "example"
    assert host_of(long[:-6]) == long[8:-6]
    assert host_of(long) == ""
    assert links_in(f"see {long}") == []
