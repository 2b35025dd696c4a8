"""The arrows point one way, pure modules stay pure, and what has a place is in it.

Each check is a function of the sources; its companion changes them in one place and demands the failure.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
Sources = dict[str, str]
"""Module name -> source."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES: Sources = {
    module_name(path): path.read_text(encoding="utf-8") for path in sorted((ROOT / "iirs").rglob("*.py"))
}
PACKAGES = {module_name(path) for path in (ROOT / "iirs").rglob("__init__.py")}


@functools.cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


@functools.cache
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    """Return all nodes of a source; parsed once for all rules."""
    return tuple(ast.walk(parsed(source)))


def changed(module: str, addition: str) -> Sources:
    """Return the sources with one line added at the end of a module."""
    assert module in SOURCES
    return {**SOURCES, module: f"{SOURCES[module]}\n{addition}\n"}


def imports(sources: Sources, module: str, *, top_level: bool = False) -> Iterator[str]:
    """Give what a module imports, whole names; with ``top_level`` only what importing it imports."""
    for base, name in _written(module, sources[module], top_level):
        whole = f"{base}.{name}"
        yield whole if name and whole in sources else base


@cache  # each source is read once, however many checks look at it
def _written(module: str, source: str, top_level: bool) -> tuple[tuple[str, str], ...]:
    tree = parsed(source)
    written: list[tuple[str, str]] = []
    for node in _outside_functions(tree) if top_level else nodes_of(source):
        if isinstance(node, ast.Import):
            written += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            written += [(_absolute(node, module), alias.name) for alias in node.names]
    return tuple(written)


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    here = parts[: len(parts) - node.level + (module in PACKAGES)]
    return ".".join([*here, *([node.module] if node.module else [])])


def _outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from _outside_functions(node)


def test_imports_are_found_wherever_and_however_they_are_written() -> None:
    source = "from . import b\nfrom ..x import y\nimport p.q as r\ndef f():\n    from iirs.late import z\n"
    sources = {"iirs.client.a": source, "iirs.client.b": ""}
    assert set(imports(sources, "iirs.client.a")) == {"iirs.client.b", "iirs.x", "p.q", "iirs.late"}
    assert "iirs.late" not in set(imports(sources, "iirs.client.a", top_level=True))


# -- arrows -----------------------------------------------------------------------------------------------


def inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def check_sides(sources: Sources) -> None:
    """Client and server never import each other, and what both share imports neither."""
    tools = {"iirs.demo.main", "iirs.demo.wiretap"}  # the demo runs both sides as programs
    for module in sources:
        for imported in imports(sources, module):
            if inside(module, "iirs.client"):
                assert not inside(imported, "iirs.server"), f"{module} imports {imported}"
            elif inside(module, "iirs.server"):
                assert not inside(imported, "iirs.client"), f"{module} imports {imported}"
            elif module not in tools:
                assert not inside(imported, "iirs.client"), f"{module} imports {imported}"
                assert not inside(imported, "iirs.server"), f"{module} imports {imported}"


def test_client_and_server_never_import_each_other() -> None:
    check_sides(SOURCES)


@pytest.mark.parametrize(
    ("module", "addition"),
    [
        ("iirs.client.engine", "from iirs.server.deaddrop import cover_invitation"),
        ("iirs.client.account.password_keys", "from ...server.accounts import database"),
        ("iirs.server.service", "def late():\n    import iirs.client.sync"),
        ("iirs.wire.limits", "from iirs.client import login"),
        ("iirs.onion", "import iirs.server"),
    ],
)
def test_an_arrow_between_the_sides_is_caught(module: str, addition: str) -> None:
    with pytest.raises(AssertionError):
        check_sides(changed(module, addition))


def check_no_cycle(sources: Sources) -> None:
    """Importing any module never comes back to it."""
    arrows = {
        module: {name for name in imports(sources, module, top_level=True) if name in sources}
        for module in sources
    }
    for package in PACKAGES:
        # A package's ``__init__`` offers what its modules have; they do not import it.
        for module in sources:
            if module != package:
                arrows[module].discard(package)
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way, module])
        if module not in done:
            for name in sorted(arrows[module]):
                visit(name, (*way, module))
            done.add(module)

    for module in sources:
        visit(module, ())


def test_there_are_no_cycles() -> None:
    check_no_cycle(SOURCES)


@pytest.mark.parametrize(
    ("module", "addition"),
    [
        ("iirs.suite", "from iirs.geometry import HASH_SIZE"),
        ("iirs.client.events", "from iirs.client.engine import Engine"),
    ],
)
def test_a_cycle_is_caught(module: str, addition: str) -> None:
    with pytest.raises(AssertionError):
        check_no_cycle(changed(module, addition))


# -- folders ------------------------------------------------------------------------------------------------

KINDS = {
    "sockets": {"socket", "ssl", "select", "selectors", "socketserver", "asyncio"},
    "threads": {"threading", "queue", "concurrent", "multiprocessing", "subprocess", "signal"},
    "clock": {"time", "sched"},
    "databases": {"sqlite3", "sqlalchemy", "sqlcipher3"},
    "files": {"os", "pathlib", "shutil", "tempfile", "logging", "argparse", "getpass"},
    "windows": {"tkinter"},
}
"""What touches the world, by kind; each name is a module of Python's own or of a dependency."""
PROGRAM = {"main", "setup_main"}
"""Modules of these names are programs: they may touch all but windows and databases."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What the modules of one folder may import: which other folders of ours, and which of ``KINDS``."""

    folders: frozenset[str]
    kinds: frozenset[str]


def rule(folders: str = "", kinds: str = "") -> Rule:
    return Rule(frozenset(folders.split()), frozenset(kinds.split()))


IN_A_WINDOW = "client client/model client/store client/text"
RULES = {
    "": rule(),
    "wire": rule("."),
    "meter": rule("."),
    "demo": rule(". client client/net", "sockets threads clock files"),
    "server": rule(". wire meter server/accounts server/hops server/net"),
    "server/accounts": rule(". wire server/hops", "threads clock files databases"),
    "server/hops": rule(". wire meter server server/net", "sockets threads clock files"),
    "server/net": rule(".", "sockets threads clock files"),
    "client": rule(
        ". wire client/account client/desktop client/messenger client/model client/net client/store "
        "client/text"
    ),
    "client/account": rule(". wire client client/net client/store", "files clock"),
    "client/messenger": rule(". client client/account client/store client/text"),
    "client/net": rule(". wire", "sockets threads clock"),
    "client/store": rule(".", "files databases"),
    "client/text": rule(),
    "client/pictures": rule(".", "threads files"),
    "client/model": rule(
        ". client client/messenger client/pictures client/store client/text", "threads files"
    ),
    "client/desktop": rule(". client/model client/store client/text", "sockets threads files"),
    "client/window/theme": rule("client/messenger client/model client/text", "windows"),
    "client/window/parts": rule(f"{IN_A_WINDOW} client/window/theme", "windows clock"),
    "client/window/talk": rule(
        f"{IN_A_WINDOW} client/messenger client/window/theme client/window/parts", "windows clock files"
    ),
    "client/window/pages": rule(
        f". {IN_A_WINDOW} client/account client/messenger client/pictures client/window/theme "
        "client/window/parts",
        "windows clock threads files",
    ),
    "client/window": rule(
        f"{IN_A_WINDOW} client/account client/desktop client/window/theme client/window/parts "
        "client/window/talk client/window/pages",
        "windows clock threads",
    ),
}
"""By folder below ``iirs`` (``.``: ``iirs`` itself). One without kinds is pure: values in, values out."""
EXCEPTIONS = {
    "iirs.tls": (
        "sockets files threads",
        "TLS over memory, certificates in files, one lock for shared buffers",
    ),
    "iirs.paths": ("files", "where programs keep their files"),
    "iirs.standard_streams": ("sockets files", "what programs print on; poll says whether it has a reader"),
    "iirs.epoch": ("threads clock", "one lock: connections look up keys that another thread erases"),
    "iirs.server.service": ("sockets threads clock files", "the threads around the mix net"),
    "iirs.server.connectionThread": ("sockets threads clock", "one client's thread and socket"),
    "iirs.server.newcomer": ("sockets threads clock", "a client that has not logged in, without a thread"),
    "iirs.server.round_numbers": ("clock", "how long ago a server that was killed ran its last round"),
    "iirs.server.spare_memory": ("clock", "how often memory is given back"),
    "iirs.server.event_counts": ("threads clock files", "what strangers do, as counts in the log"),
    "iirs.server.announcer": ("clock files", "when a round begins"),
    "iirs.server.keystore": ("sockets files databases", "a server's identity on its disk"),
    "iirs.server.glass_box": ("threads files", "writes down what a server sees, openly marked"),
    "iirs.server.settings": ("clock files", "the clock and randomness of a server, for tests to own"),
    "iirs.server.stop_signal": ("threads", "Ctrl-C and SIGTERM, as what a program's main thread waits for"),
    "iirs.server.mix_net": ("threads", "one lock: uploads come from every connection's thread"),
    "iirs.server.deaddrop": ("clock", "GarbageCollector, which keeps messages for a time"),
    "iirs.client.server_connection": ("threads clock", "the connection's thread"),
    "iirs.client.leave_signals": ("threads", "Ctrl-C and the like, as what a main thread looks for"),
    "iirs.client.account.giving_way": ("threads", "a priority is a thread's own, and never comes back"),
    "iirs.client.terminal": (
        "threads clock files",
        "reads the keyboard, waits for events, asks how wide it is",
    ),
    "iirs.client.terminal_login": ("files", "options, a password file, and typing that is not shown"),
    "iirs.client.account_tasks": ("threads clock files", "workers for what blocks; when a login ended"),
    "iirs.client.gui": ("windows", "asks for tkinter, and says so in a sentence where there is none"),
    "iirs.client.text.translate": ("files", "where the catalogues are; read when a language is chosen"),
    "iirs.client.text.emoji": ("threads", "tries in a process of its own whether this screen survives emoji"),
    "iirs.client.model.chat_model": ("clock", "the time of a text that was typed just now"),
    "iirs.demo.main": ("windows", "as in gui"),
}
"""Modules that touch more of the world than the rest of their folder, and why."""


def folder_of(module: str) -> str:
    """Return a module's folder below ``iirs``; "" is ``iirs`` itself."""
    package = module if module in PACKAGES else module.rpartition(".")[0]
    return package.removeprefix("iirs").removeprefix(".").replace(".", "/")


def kinds_of(sources: Sources, module: str) -> set[str]:
    """Return which of ``KINDS`` a module imports, wherever it does."""
    tops = {imported.split(".", 1)[0] for imported in imports(sources, module)}
    return {kind for kind, names in KINDS.items() if tops & names}


def allowed_kinds(module: str) -> set[str]:
    kinds = set(RULES[folder_of(module)].kinds) | set(EXCEPTIONS.get(module, ("", ""))[0].split())
    if module.rpartition(".")[2] in PROGRAM:
        kinds |= set(KINDS) - {"windows", "databases"}
    return kinds


def check_folders(sources: Sources) -> None:
    """Each module imports what its folder may: folders of ours, and what touches the world."""
    for module in sources:
        folder = folder_of(module)
        assert folder in RULES, f"{folder} has no rule"
        touched = kinds_of(sources, module) - allowed_kinds(module)
        assert not touched, f"{module} touches {touched}, which its folder does not"
        for imported in imports(sources, module):
            other = folder_of(imported) if inside(imported, "iirs") else folder
            may = RULES[folder].folders | ({"client/window"} if "windows" in allowed_kinds(module) else set())
            assert other == folder or (other or ".") in may, f"{module} imports {imported}"


def test_each_module_imports_what_its_folder_may() -> None:
    check_folders(SOURCES)


@pytest.mark.parametrize(
    ("module", "addition"),
    [
        ("iirs.message", "import socket"),
        ("iirs.onion", "from iirs.wire import rounds"),
        ("iirs.wire.rounds", "from time import monotonic"),
        ("iirs.client.sync", "import logging.handlers"),
        ("iirs.client.sync", "from iirs.client.window import window"),
        ("iirs.client.conversation", "import sqlcipher3"),
        ("iirs.client.messenger.messenger", "def late():\n    from iirs.client.model import talk"),
        ("iirs.client.main", "from iirs.client.window.window import ClientWindow"),
        ("iirs.client.terminal", "def late():\n    import tkinter"),
        ("iirs.client.window.theme.palette", "import iirs.client.window.parts.banners"),
        ("iirs.server.deaddrop", "def late():\n    from threading import Lock"),
        ("iirs.server.main", "import tkinter"),
        ("iirs.server.service", "from sqlalchemy import select"),
    ],
)
def test_an_import_that_a_folder_does_not_allow_is_caught(module: str, addition: str) -> None:
    with pytest.raises(AssertionError):
        check_folders(changed(module, addition))


def test_a_folder_without_a_rule_is_caught() -> None:
    PACKAGES.add("iirs.attic")
    try:
        with pytest.raises(AssertionError):
            check_folders({**SOURCES, "iirs.attic.box": ""})
    finally:
        PACKAGES.remove("iirs.attic")


def test_every_exception_and_every_permission_is_needed() -> None:
    for module, (kinds, why) in EXCEPTIONS.items():
        assert why
        assert set(kinds.split()) <= kinds_of(SOURCES, module), f"{module} does not need {kinds}"
    for folder, allowed in RULES.items():
        inhabitants = [module for module in SOURCES if folder_of(module) == folder]
        assert inhabitants, f"nothing is in {folder}"
        used = {
            folder_of(imported) or "."
            for module in inhabitants
            for imported in imports(SOURCES, module)
            if inside(imported, "iirs")
        }
        assert allowed.folders <= used, f"{folder} does not need {allowed.folders - used}"
        touched = set().union(*(kinds_of(SOURCES, module) for module in inhabitants))
        assert allowed.kinds <= touched, f"{folder} does not need {allowed.kinds - touched}"


def check_windows_on_demand(sources: Sources) -> None:
    """Importing any module outside ``client/window`` imports no tkinter: a server has no screen."""
    for module in sources:
        if not inside(module, "iirs.client.window"):
            for imported in imports(sources, module, top_level=True):
                assert not inside(imported, "tkinter"), f"importing {module} imports tkinter"
                assert not inside(imported, "iirs.client.window"), f"importing {module} imports {imported}"


def test_tkinter_is_imported_with_a_window_only() -> None:
    check_windows_on_demand(SOURCES)
    with pytest.raises(AssertionError):
        check_windows_on_demand(changed("iirs.client.gui", "import tkinter"))
    with pytest.raises(AssertionError):
        check_windows_on_demand(changed("iirs.client.gui", "from iirs.client.window import application"))


# -- classes ------------------------------------------------------------------------------------------------


def check_whole_classes(sources: Sources) -> None:
    """No class is half of another: a base is an error, a protocol, made by itself, or has several heirs."""
    heirs: dict[str, list[str]] = {}
    errors: set[str] = set()
    classes = [
        node for source in sources.values() for node in nodes_of(source) if isinstance(node, ast.ClassDef)
    ]
    ours = {node.name for node in classes}
    for node in classes:
        for base in node.bases:
            name = ast.unparse(base).rpartition(".")[2]
            heirs.setdefault(name, []).append(node.name)
            if name.endswith("Error") or name in {"Protocol", "Exception"}:
                errors.add(node.name)
    made = {
        node.func.id
        for source in sources.values()
        for node in nodes_of(source)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    for name in ours & heirs.keys() - errors - made:
        assert len(heirs[name]) > 1, f"{name} is one half of {heirs[name][0]}"


def test_no_class_is_half_of_another() -> None:
    check_whole_classes(SOURCES)
    with pytest.raises(AssertionError):
        check_whole_classes(changed("iirs.client.sync", "class Half: ...\nclass Whole(Half): ..."))


# -- randomness ---------------------------------------------------------------------------------------------


def check_random(sources: Sources) -> None:
    """``random`` is not used at all: nothing here may be predictable."""
    for module, source in sources.items():
        for node in nodes_of(source):
            if isinstance(node, ast.ImportFrom) and node.module == "random" and not node.level:
                raise AssertionError(module)
            if isinstance(node, ast.Import):
                assert not any(inside(alias.name, "random") for alias in node.names), module
            if isinstance(node, ast.Import | ast.ImportFrom):
                named = ast.unparse(node)
                assert "numpy" not in named, f"{module}: {named}"


def test_random_is_not_used() -> None:
    check_random(SOURCES)


@pytest.mark.parametrize(
    ("module", "addition"),
    [
        ("iirs.client.engine", "from random import SystemRandom"),
        ("iirs.server.hops.mix_hop", "from random import shuffle"),
        ("iirs.server.hops.mix_hop", "import random"),
        ("iirs.client.server_connection", "def late():\n    import random as dice"),
    ],
)
def test_random_in_another_place_is_caught(module: str, addition: str) -> None:
    with pytest.raises(AssertionError):
        check_random(changed(module, addition))


# -- size ---------------------------------------------------------------------------------------------------

LINES_MAX = 400


def check_length(sources: Sources) -> None:
    """A module fits in one sitting."""
    too_long = {module for module, source in sources.items() if len(source.splitlines()) > LINES_MAX}
    assert not too_long, f"to split: {too_long}"


def test_no_module_is_longer_than_one_sitting() -> None:
    check_length(SOURCES)


def test_a_module_that_grew_too_long_is_caught() -> None:
    with pytest.raises(AssertionError):
        check_length(changed("iirs.paths", "# more\n" * LINES_MAX))


# -- layout -------------------------------------------------------------------------------------------------

FILES = {
    "setup.py", "server.py", "client.py", "iirs/message.py", "iirs/server/main.py", "iirs/server/mix_net.py",
    "iirs/server/connectionThread.py", "iirs/server/deaddrop.py", "iirs/client/__init__.py",
    "iirs/client/server_connection.py", "iirs/client/chat_session.py", "iirs/client/gui.py",
    "iirs/client/main.py",
}  # fmt: skip
CLASSES = {
    "iirs.message": {"Message", "PeerMessage"},
    "iirs.server.connectionThread": {"ConnectionThread"},
    "iirs.server.mix_net": {"MixNet"},
    "iirs.server.deaddrop": {"DeadDropManager", "DeadDrop", "DeaddropMessage", "GarbageCollector"},
    "iirs.client.server_connection": {"ServerConnection"},
    "iirs.client.chat_session": {"ChatSession"},
    "iirs.client.sync": {"DeadDropSync"},
}
OFFERED = {"register", "login", "lookup", "DeadDropSync"}
METHODS = {
    ("iirs.server.mix_net", "MixNet"): {"run_round"},
    ("iirs.server.deaddrop", "DeadDropManager"): {"handle_messages"},
    ("iirs.client.sync", "DeadDropSync"): {"generate", "listener_update"},
}


def check_layout(sources: Sources, root: Path) -> None:
    """Files, classes, methods and what the client package offers are where they are expected."""
    assert all((root / name).is_file() for name in FILES)
    for module, names in CLASSES.items():
        classes = {node.name: node for node in parsed(sources[module]).body if isinstance(node, ast.ClassDef)}
        assert classes.keys() >= names, module
        for name in names:
            methods = {node.name for node in classes[name].body if isinstance(node, ast.FunctionDef)}
            assert methods >= METHODS.get((module, name), set()), f"{module}.{name}"
    offered = {
        alias.asname or alias.name
        for node in parsed(sources["iirs.client"]).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert offered >= OFFERED


def test_everything_is_where_it_is_expected() -> None:
    check_layout(SOURCES, ROOT)


def test_something_that_has_moved_is_caught(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_layout(SOURCES, tmp_path)
    for module, old in (
        ("iirs.server.deaddrop", "class DeadDrop:"),
        ("iirs.server.mix_net", "def run_round("),
        ("iirs.client", "login, "),
    ):
        assert old in SOURCES[module]
        altered = SOURCES[module].replace(old, old.replace("DeadDrop", "Drop").replace("run", "do"))
        with pytest.raises(AssertionError):
            check_layout({**SOURCES, module: altered.replace("login, ", "")}, ROOT)


# -- dependencies -------------------------------------------------------------------------------------------

DEPENDENCIES = {
    *("cryptography", "apscheduler", "sqlalchemy", "sqlcipher3", "segno", "zxingcpp", "PIL", "bidi"),
    "arabic_reshaper",
    "platformdirs",
    "desktop_notifier",
    "zxcvbn",
}
EXTRAS = {"dp_accounting"}
"""Not there on every machine: imported when wanted, never by importing a module."""
WHERE = {
    "sqlalchemy": "server/accounts",
    "apscheduler": "server",
    "sqlcipher3": "client/store",
    "segno": "client/pictures server",
    "zxingcpp": "client/pictures",
    "PIL": "client/pictures client/window/theme",
    "bidi": "client/text",
    "arabic_reshaper": "client/text",
    "desktop_notifier": "client/desktop",
    "dp_accounting": "meter",
    "platformdirs": ".",
    "zxcvbn": "client/account",
}


BESIDE_THE_DECODER = "bare_pictures"
"""What is imported by a program that is run by its path, from its own folder."""


def check_dependencies(sources: Sources) -> None:
    """Only what is declared is imported, each framework in one place, and no extra before it is wanted."""
    known = DEPENDENCIES | EXTRAS | {"iirs", BESIDE_THE_DECODER} | sys.stdlib_module_names
    for module in sources:
        for imported in imports(sources, module, top_level=True):
            assert imported.split(".", 1)[0] not in EXTRAS, f"{module} needs {imported}"
        for imported in imports(sources, module):
            top = imported.split(".", 1)[0]
            assert top in known, f"{module} imports {imported}"
            assert top not in WHERE or (folder_of(module) or ".") in WHERE[top].split(), (
                f"{module} imports {imported}"
            )


def test_only_declared_dependencies_are_imported() -> None:
    check_dependencies(SOURCES)


@pytest.mark.parametrize(
    ("module", "addition"),
    [
        ("iirs.wire.limits", "import numpy"),
        ("iirs.server.hops.link", "from sqlalchemy import select"),
        ("iirs.meter.noise_budget", "import dp_accounting"),
        ("iirs.noise", "def late():\n    from dp_accounting import pld"),
    ],
)
def test_an_undeclared_dependency_is_caught(module: str, addition: str) -> None:
    with pytest.raises(AssertionError):
        check_dependencies(changed(module, addition))
