"""The documents as pages: links, files, widths, options, commands, citations, folders and roads.

Each check is a function of the text. After each success its test alters one thing and demands the failure.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from iirs import client
from iirs.client import main as client_main
from iirs.demo import main as demo
from iirs.meter import main as meter
from iirs.server import main as server_main
from iirs.server.hops import main as mix_main
from iirs.server.hops import setup_main as chain_main
from tests.documents import (
    ARCHITECTURE,
    COMMANDS,
    GUIDES,
    PAGES,
    ROOT,
    SOURCES,
    break_it,
    page,
    section,
    table,
    tables,
)

# -- links and files --------------------------------------------------------------------------------

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def check_links(path: Path, text: str) -> None:
    """Every relative link leads to a file, and every anchor to a heading."""
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = path.parent / file if file else path
        assert there.exists(), f"{path.name}: {target}"
        if anchor:
            aim = text if there == path else there.read_text(encoding="utf-8")
            assert anchor in anchors(aim), f"{path.name}: {target}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    check_links(path, path.read_text(encoding="utf-8"))


def test_a_dangling_link_is_caught() -> None:
    readme = ROOT / "README.md"
    for target in ("docs/nowhere.md", "docs/protocol.md#99-nothing", "#nowhere"):
        with pytest.raises(AssertionError):
            check_links(readme, f"# Title\n\n[a page]({target})\n")


def test_the_pages_that_should_be_there_are() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in PAGES}
    assert names >= {
        "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "milestones.md", "docs/protocol.md",
        "docs/links.md", "docs/groups.md", "docs/commands.md", "docs/threat-model.md", "docs/architecture.md",
        "docs/glossary.md", "docs/deploy.md",
    }  # fmt: skip


MENTIONED = re.compile(r"\b(?:iirs|tests|benchmarks|docs|fuzz|packaging)/[\w/]+\.(?:py|json|md)\b")
BARE = re.compile(r"(?<![\w/*])\w+\.py\b")
FOLDERS_OF_CODE = ("iirs", "tests", "benchmarks", "docs", "fuzz", "packaging")
NAMES = {path.name for folder in FOLDERS_OF_CODE for path in (ROOT / folder).rglob("*.py")} | {
    path.name for path in ROOT.glob("*.py")
}


def check_files(text: str) -> None:
    """Every source file a guide names is there, wherever it lies if no folder is named."""
    for name in MENTIONED.findall(text):
        assert (ROOT / name).is_file(), name
    for name in BARE.findall(text):
        assert name in NAMES, name


def test_every_file_named_is_there() -> None:
    assert len(MENTIONED.findall(GUIDES)) > 30
    check_files(GUIDES)
    for old, new in (
        ("tests/test_privacy.py", "tests/test_private.py"),
        ("`conversation.py`", "`conversing.py`"),
        ("docs/threat-model.md", "docs/threats.md"),
    ):
        with pytest.raises(AssertionError):
            check_files(break_it(GUIDES, old, new))


def check_widths(name: str, text: str) -> None:
    """Every line has less than 120 columns, so that it can be read beside code and in a diff."""
    for number, line in enumerate(text.splitlines(), 1):
        assert len(line) < WIDTH, f"{name}:{number} has {len(line)} columns"


WIDTH = 120


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_line_has_less_than_120_columns(path: Path) -> None:
    check_widths(path.name, path.read_text(encoding="utf-8"))


def test_a_long_line_is_caught() -> None:
    check_widths("x.md", "x" * 119)
    with pytest.raises(AssertionError):
        check_widths("x.md", f"short\n| {'x' * 118}\n")


# -- programs and their options ---------------------------------------------------------------------------


Program = Callable[[list[str]], object]


class _ParsingError(Exception):
    """Stops a program where it would read its arguments."""


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return the long options a parser has, those of its commands included."""
    found = {flag for action in parser._actions for flag in action.option_strings if flag[:2] == "--"}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found |= options_of(command)
    return found


def flags_of(program: Program, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the long options of a program."""
    seen: set[str] = set()

    def caught(parser: argparse.ArgumentParser, *_: object) -> argparse.Namespace:
        seen.update(options_of(parser))
        raise _ParsingError

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", caught)
        with pytest.raises(_ParsingError):
            program([])
    return seen - {"--help"}


PROGRAMS: dict[str, Program] = {
    "iirs-server": server_main.parse_arguments,
    "iirs-mix": mix_main.parse_arguments,
    "iirs-chain": chain_main.parse_arguments,
    "iirs-client": client_main.parse_arguments,
    "iirs-demo": demo.main,
    "iirs-meter": meter.parse_arguments,
}


def option_tables(text: str) -> dict[str, str]:
    """Return, for each program with a table of options, what the table's first column says."""
    found: dict[str, str] = {}
    for header, rows in tables(text):
        if re.fullmatch(r"`iirs-\w+`", header[0]):
            found[header[0].strip("`")] = " ".join(row[0] for row in rows)
    return found


def check_option_tables(text: str, flags: dict[str, set[str]]) -> None:
    """Each program's table in the document of commands names all of its options, and no other."""
    written = option_tables(text)
    assert written.keys() == flags.keys()
    for program, cells in written.items():
        assert set(re.findall(r"--[a-z][a-z-]*", cells)) == flags[program], program


def test_there_is_a_table_with_every_option_of_every_program(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {name: flags_of(program, monkeypatch) for name, program in PROGRAMS.items()}
    assert all(len(found) > 3 for found in flags.values())
    check_option_tables(COMMANDS, flags)
    for old, new in (("`--noise-share`", "`--noise`"), ("| `iirs-mix` | |", "| `iirs-hop` | |")):
        with pytest.raises(AssertionError):
            check_option_tables(break_it(COMMANDS, old, new), flags)


def check_commands(text: str, flags: dict[str, set[str]]) -> None:
    """No command line in the guides uses an option that its program does not have."""
    for program, rest in re.findall(r"(iirs-(?:server|mix|chain|client|demo|meter))\b([^`\n]*)", text):
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest):
            assert flag in flags[program] | {"--help"}, f"{program}{rest}"


def test_the_guides_use_options_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {name: flags_of(program, monkeypatch) for name, program in PROGRAMS.items()}
    check_commands(GUIDES, flags)
    for wrong in ("iirs-server --public", "iirs-chain join --sign a.toml", "iirs-mix --ephemeral"):
        with pytest.raises(AssertionError):
            check_commands(f"{GUIDES}\n`{wrong}`\n", flags)


FIRST_SCREEN = (
    "\nA chat that hides",
    "\n$ pip install . && iirs-demo",
    "\n- **Hidden",
    "\n- **Not hidden",
    "\npip install . && iirs-demo\n",
    "\npip install '.[test]' && pytest\n",
)


def check_first_screen(text: str) -> None:
    """The first 50 lines say what it is, what it hides and does not, and how to start: in this order."""
    screen = "\n".join(text.splitlines()[:50])
    places = [screen.find(words) for words in FIRST_SCREEN]
    assert -1 not in places
    assert places == sorted(places)


def test_the_readme_says_what_is_hidden_and_what_is_not_on_its_first_screen() -> None:
    readme = page("README.md")
    check_first_screen(readme)
    for old, new in (("**Not hidden", "**Also"), ("\npip install '.[test]' && pytest\n", "\npytest\n")):
        with pytest.raises(AssertionError):
            check_first_screen(break_it(readme, old, new))
    with pytest.raises(AssertionError):
        check_first_screen("\n" * 50 + readme)


# -- citations ----------------------------------------------------------------------------------------------

CITATION = re.compile(r"docs/(\w+)\.md``?,? sections? ([\d, and]+)")
Citations = set[tuple[str, int]]


def citations(source: str) -> Citations:
    """Return each document and section that a source cites."""
    found = CITATION.findall(" ".join(source.split()))
    return {(name, int(number)) for name, cited in found for number in re.findall(r"\d+", cited)}


def check_citations(guides: dict[str, str], sources: dict[Path, str]) -> int:
    """Each section cited exists; return how many citations there are."""
    known = {
        (name, int(number))
        for name, text in guides.items()
        for number in re.findall(r"^## (\d+)\. ", text, flags=re.M)
    }
    count = 0
    for path, source in sources.items():
        wrong = citations(source) - known
        assert not wrong, f"{path.name} cites {wrong}"
        count += len(citations(source))
    return count


NUMBERED = {name: page(f"docs/{name}.md") for name in ("protocol", "links", "groups")}
CITED: dict[str, Citations] = {
    "message.py": {("protocol", 3), ("protocol", 11)},
    "limits.py": {("protocol", 3)},
    "onion.py": {("protocol", 5)},
    "directory.py": {("protocol", 8)},
    "invitations.py": {("protocol", 9)},
    "prekey.py": {("protocol", 9)},
    "sync.py": {("protocol", 10)},
    "group_item.py": {("groups", 4)},
}


def test_every_section_cited_in_the_code_exists_and_is_the_right_one() -> None:
    assert check_citations(NUMBERED, SOURCES) >= 12
    by_name = {path.name: citations(source) for path, source in SOURCES.items()}
    assert {name: by_name[name] for name in CITED} == CITED


def test_a_citation_of_nothing_is_caught() -> None:
    with pytest.raises(AssertionError):
        check_citations(NUMBERED, {Path("x.py"): "See ``docs/protocol.md``\n section 99."})
    with pytest.raises(AssertionError):
        check_citations(NUMBERED, {Path("x.py"): "See ``docs/links.md``, section 17."})
    without = {**NUMBERED, "protocol": break_it(NUMBERED["protocol"], "## 9. ", "## Nine. ")}
    with pytest.raises(AssertionError):
        check_citations(without, SOURCES)


# -- the architecture ---------------------------------------------------------------------------------------


def test_what_the_client_package_offers_is_in_the_architecture() -> None:
    assert all(f"`{name}`" in ARCHITECTURE for name in client.__all__)


FOLDERS = {path.parent.relative_to(ROOT).as_posix() for path in SOURCES}


def check_folders(text: str, folders: set[str]) -> None:
    """Each folder with Python files has its row, and no other has one."""
    rows = table(text, "folder", "what lives there", "may import, and touch")
    assert [row[0] for row in rows if not row[1] or not row[2]] == []
    assert sorted(row[0].strip("`").rstrip("/") for row in rows) == sorted(folders)


def test_every_folder_is_in_the_architecture() -> None:
    check_folders(ARCHITECTURE, FOLDERS)
    with pytest.raises(AssertionError):
        check_folders(ARCHITECTURE, FOLDERS | {"iirs/attic"})
    for old, new in (
        ("| `iirs/client/model/` |", "| `iirs/client/models/` |"),
        ("`iirs/wire/` |", "`iirs/` |"),
    ):
        with pytest.raises(AssertionError):
            check_folders(break_it(ARCHITECTURE, old, new), FOLDERS)


def defined_in(source: str) -> set[str]:
    """Return the classes, functions and methods a module defines; a method also as ``Class.method``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names.add(node.name)
            names |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return names


ROADS = ("The road of one text", "The road of one upload")


def check_road(text: str, title: str) -> None:
    """A road passes eight files, and each has the functions to look for; those beside it too."""
    rows = table(section(text, title), "", "file", "look for", "what happens")
    assert [row[0] for row in rows] == [str(number) for number in range(1, 9)]
    for _, file, wanted, _ in rows:
        names = re.findall(r"`([\w.]+)`", wanted)
        assert names, file
        check_names(file.strip("`"), set(names))
    for file, name in re.findall(r"`([\w/]+\.py)`\s+\(`([\w.]+)`", section(text, title)):
        check_names(file, {name})


def check_names(file: str, names: set[str]) -> None:
    """The file defines all of these."""
    there = defined_in((ROOT / file).read_text(encoding="utf-8"))
    assert names <= there, f"{file} has no {names - there}"


@pytest.mark.parametrize("title", ROADS)
def test_the_roads_can_be_followed(title: str) -> None:
    check_road(ARCHITECTURE, title)


@pytest.mark.parametrize(
    ("title", "old", "new"),
    [
        (ROADS[0], "`build_upload`", "`make_upload`"),
        (ROADS[0], "`PeerMessage.seal`", "`Message.seal`"),
        (ROADS[0], "(`take_round`)", "(`take_turn`)"),
        (ROADS[1], "`iirs/server/mix_net.py` |", "`iirs/server/mix_stage.py` |"),
        (ROADS[1], "| 4 | `iirs/server/deaddrop.py` |", "| 5 | `iirs/server/deaddrop.py` |"),
    ],
)
def test_a_road_that_leads_nowhere_is_caught(title: str, old: str, new: str) -> None:
    with pytest.raises((AssertionError, OSError)):
        check_road(break_it(ARCHITECTURE, old, new), title)
