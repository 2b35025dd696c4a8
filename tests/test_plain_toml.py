"""Chain files of strangers: what is not plain is refused before a parser for all of TOML sees it."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import iirs.plain_toml
from iirs.chain import MAX_HOPS, parse_chain, render_chain
from iirs.errors import ChainError
from iirs.geometry import CHAIN_FILE_MAX
from iirs.plain_toml import parse_plain_toml
from tests.builders import chain_values

GOOD = render_chain(**chain_values()).decode()
COSTLY = {
    "a long dotted table": "[" + ".".join(["a"] * 16_000) + "]\n" + "b.c=1\n" * 5_000,
    "a long dotted key": ".".join(["a"] * 32_000) + "=1",
    "tables inside tables": "".join(f"[[a.b{number}]]\n" for number in range(4_000)),
    "many tables": "[[hop]]\n" * 8_000,
    "one table too many": "[[hop]]\n" * (MAX_HOPS + 1),
    "a table": "[hop]",
    "arrays in arrays": "a=" + "[" * 60_000,
    "an inline table": "a={b=1}",
    "a quoted key": '"a"=1',
    "a string over lines": 'a="""\n"""',
    "a number without end": "a=" + "9" * 60_000,
    "spaces before nonsense": " " * 60_000 + "!",
    "spaces after a value": "a=1" + " " * 60_000 + "!",
    "a string without end": 'a="' + "\\\\" * 30_000,
    "a key without end": "a" * 60_000,
}


@pytest.mark.parametrize("name", COSTLY)
def test_what_is_not_plain_reaches_no_parser(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Fixed: 64 KiB of dotted keys cost whoever visited a server for the first time 20 s of CPU."""
    seen: list[str] = []

    def loads(text: str) -> dict[str, Any]:
        seen.append(text)
        return tomllib.loads(text)

    monkeypatch.setattr(iirs.plain_toml, "tomllib", type("Recorder", (), {"loads": staticmethod(loads)}))
    parse_chain(GOOD.encode())
    assert seen == [GOOD]
    for text in (COSTLY[name], GOOD.replace("[[hop]]", COSTLY[name] + "\n[[hop]]")):
        assert len(text) <= CHAIN_FILE_MAX
        with pytest.raises(ChainError, match="damaged"):
            parse_chain(text.encode())
    assert seen == [GOOD]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\r\n",
        ' a = "b # c" # d',
        "a = 'b'\n\n\n\tc=-1_0",
        'a = "\\u00e9 \\" \\\\"',
        "a = true\n[[b]]\nc = 1.5\n[[b]] # again\nc = 2",
        "a = 2020-01-01",
    ],
)
def test_what_is_plain_is_what_toml_says_it_is(text: str) -> None:
    assert parse_plain_toml(text, 2) == tomllib.loads(text)


@given(st.text(alphabet="ab1_-=.\"'\\[]{}# \t\r\n,é", max_size=60))
def test_any_text_is_refused_or_what_toml_says_it_is(text: str) -> None:
    try:
        found = parse_plain_toml(text, 3)
    except ValueError:
        return
    assert found == tomllib.loads(text)
