"""The arrows point one way, pure modules stay pure, and what has a place is in it.

Each check is a function of the sources; its companion changes them in one place and demands the failure.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
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


def changed(module: str, addition: str) -> Sources:
    """Return the sources with one line added at the end of a module."""
    assert module in SOURCES
    return {**SOURCES, module: f"{SOURCES[module]}\n{addition}\n"}


def imports(sources: Sources, module: str, *, top_level: bool = False) -> Iterator[str]:
    """Give what a module imports, whole names; with ``top_level`` only what importing it imports."""
    tree = ast.parse(sources[module])
    for node in _outside_functions(tree) if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in sources else base


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


# -- pure modules -------------------------------------------------------------------------------------------

PURE = {
    "iirs", "iirs.errors", "iirs.suite", "iirs.geometry", "iirs.identity", "iirs.chain",
    "iirs.directory", "iirs.epoch", "iirs.noise", "iirs.meter.noise_budget", "iirs.meter.report",
    "iirs.message", "iirs.wire", "iirs.wire.accounts", "iirs.wire.limits", "iirs.wire.rounds",
    "iirs.onion", "iirs.server.deaddrop", "iirs.server.mix_net", "iirs.server.hops.mix_hop",
    "iirs.server.hops.link", "iirs.client.sync", "iirs.client.chat_session", "iirs.client.conversation",
    "iirs.client.invitations", "iirs.client.conversation_values", "iirs.client.events",
    "iirs.client.account.password_keys", "iirs.client.text.display", "iirs.prekey",
    "iirs.client.account.own_prekeys", "iirs.client.text.text_layout", "iirs.client.model.chat_model",
    "iirs.client.model.round_health", "iirs.client.store.log_entry", "iirs.client.model.talk",
    "iirs.client.model.talk_sentences", "iirs.client.text.links", "iirs.client.window.talk.log_layout",
    "iirs.client.window.theme.palette", "iirs.client.messenger.safety_number",
    "iirs.client.messenger.file_transfer", "iirs.client.messenger.group_item",
    "iirs.client.text.translate", "iirs.client.window.theme.avatars",
    "iirs.client.model.privacy_sentences", "iirs.client.window.theme.shapes",
}  # fmt: skip
IMPURE = {
    "socket", "ssl", "sqlite3", "tkinter", "sqlalchemy", "apscheduler", "logging", "threading",
    "selectors", "subprocess", "asyncio", "multiprocessing", "queue", "signal", "argparse", "pathlib",
    "os",
}  # fmt: skip
ALLOWED = {
    (
        "iirs.epoch",
        "threading",
    ): "one lock: connections look up keys that another thread makes and erases",
    ("iirs.client.text.translate", "pathlib"): "where the catalogues are; read when a language is chosen",
    ("iirs.server.mix_net", "threading"): "one lock: uploads come from every connection's thread",
}


def check_pure(sources: Sources) -> None:
    """Pure modules import nothing that touches the world, and only pure modules of ours."""
    for module in PURE:
        for imported in imports(sources, module):
            top = imported.split(".", 1)[0]
            assert top not in IMPURE or (module, top) in ALLOWED, f"{module} imports {imported}"
            assert top != "iirs" or imported in PURE, f"{module} imports {imported}, which is not pure"


def test_pure_modules_touch_nothing() -> None:
    check_pure(SOURCES)


def test_every_exception_to_purity_is_needed() -> None:
    for module, name in ALLOWED:
        assert name in set(imports(SOURCES, module))


@pytest.mark.parametrize(
    ("module", "addition"),
    [
        ("iirs.message", "import socket"),
        ("iirs.client.sync", "import logging.handlers"),
        ("iirs.client.conversation", "from iirs.client.store.store import ClientStore"),
        ("iirs.server.deaddrop", "def late():\n    from threading import Lock"),
        ("iirs.client.model.chat_model", "from tkinter import ttk"),
    ],
)
def test_a_pure_module_that_touches_the_world_is_caught(module: str, addition: str) -> None:
    with pytest.raises(AssertionError):
        check_pure(changed(module, addition))


# -- windows ------------------------------------------------------------------------------------------------

WORK_WITHOUT_TK = {
    "iirs.client", "iirs.client.main", "iirs.client.terminal", "iirs.client.engine", "iirs.client.sync",
    "iirs.client.server_connection", "iirs.client.chat_session", "iirs.client.gui",
    "iirs.client.account_tasks", "iirs.client.model.chat_model", "iirs.client.text.text_layout",
    "iirs.client.text.display", "iirs.demo.main", "iirs.client.messenger.messenger",
    "iirs.client.messenger.slots", "iirs.client.messenger.files", "iirs.client.messenger.groups",
    "iirs.client.model.background", "iirs.client.model.actions", "iirs.client.store.preferences",
    "iirs.client.model.lock", "iirs.client.desktop.notification_text",
    "iirs.client.desktop.notifications",
}  # fmt: skip
ASK_FOR_TK = {"iirs.client.gui", "iirs.demo.main"}
"""They import tkinter when a window is wanted, and say so in a sentence if there is none."""


def tk_modules(sources: Sources) -> set[str]:
    """Return the modules that need tkinter to be imported."""

    def uses(module: str) -> bool:
        return any(inside(name, "tkinter") for name in imports(sources, module, top_level=True))

    return {module for module in sources if uses(module)}


def check_windows(sources: Sources) -> None:
    """Only window modules import tkinter; nothing else needs one of them to be imported."""
    windows = tk_modules(sources)
    assert windows.isdisjoint(WORK_WITHOUT_TK)
    assert all(inside(module, "iirs.client") for module in windows)
    for module in sources.keys() - windows:
        needed = set(imports(sources, module, top_level=True))
        assert needed.isdisjoint(windows), f"{module} needs a window module"
        late = any(inside(name, "tkinter") for name in imports(sources, module))
        assert not late or module in ASK_FOR_TK, f"{module} imports tkinter"


def test_only_windows_import_tkinter() -> None:
    check_windows(SOURCES)
    assert len(tk_modules(SOURCES)) >= 5
    assert SOURCES.keys() >= WORK_WITHOUT_TK


@pytest.mark.parametrize(
    ("module", "addition"),
    [
        ("iirs.client.engine", "import tkinter.font"),
        ("iirs.client.main", "from iirs.client.window.window import ClientWindow"),
        ("iirs.client.terminal", "def late():\n    import tkinter"),
        ("iirs.server.main", "import tkinter"),
    ],
)
def test_tkinter_in_another_place_is_caught(module: str, addition: str) -> None:
    with pytest.raises(AssertionError):
        check_windows(changed(module, addition))


# -- randomness ---------------------------------------------------------------------------------------------


def check_random(sources: Sources) -> None:
    """``random`` is not used at all: nothing here may be predictable."""
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
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
LONGER = {
    "iirs.client.engine": "the one place that sees a whole round: its parts store in one order",
}


def check_length(sources: Sources) -> None:
    """A module fits in one sitting; a longer one has its reason here, and is longer."""
    too_long = {module for module, source in sources.items() if len(source.splitlines()) > LINES_MAX}
    assert too_long == set(LONGER), f"to split, or to give a reason for: {too_long ^ set(LONGER)}"


def test_no_module_is_longer_than_one_sitting() -> None:
    check_length(SOURCES)


def test_a_module_that_grew_too_long_is_caught() -> None:
    with pytest.raises(AssertionError):
        check_length(changed("iirs.paths", "# more\n" * LINES_MAX))
    with pytest.raises(AssertionError):
        check_length({**SOURCES, "iirs.client.engine": "short = True\n"})


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
        classes = {
            node.name: node for node in ast.parse(sources[module]).body if isinstance(node, ast.ClassDef)
        }
        assert classes.keys() >= names, module
        for name in names:
            methods = {node.name for node in classes[name].body if isinstance(node, ast.FunctionDef)}
            assert methods >= METHODS.get((module, name), set()), f"{module}.{name}"
    offered = {
        alias.asname or alias.name
        for node in ast.parse(sources["iirs.client"]).body
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
    "desktop_notifier",
}
EXTRAS = {"dp_accounting"}
"""Not there on every machine: imported when wanted, never by importing a module."""
WHERE = {
    "sqlalchemy": {"iirs.server.accounts.database"},
    "apscheduler": {"iirs.server.service"},
    "sqlcipher3": {"iirs.client.store.store", "iirs.client.store.history"},
    "segno": {"iirs.client.pictures.qr", "iirs.server.main"},
    "zxingcpp": {"iirs.client.pictures.qr"},
    "PIL": {"iirs.client.pictures.qr", "iirs.client.pictures.decoder_process"},
    "bidi": {"iirs.client.text.text_layout"},
    "desktop_notifier": {"iirs.client.desktop.notifications"},
    "dp_accounting": {"iirs.meter.noise_budget"},
}


def check_dependencies(sources: Sources) -> None:
    """Only what is declared is imported, each framework in one place, and no extra before it is wanted."""
    known = DEPENDENCIES | EXTRAS | {"iirs"} | sys.stdlib_module_names
    for module in sources:
        for imported in imports(sources, module, top_level=True):
            assert imported.split(".", 1)[0] not in EXTRAS, f"{module} needs {imported}"
        for imported in imports(sources, module):
            top = imported.split(".", 1)[0]
            assert top in known, f"{module} imports {imported}"
            assert module in WHERE.get(top, {module}), f"{module} imports {imported}"


def test_only_declared_dependencies_are_imported() -> None:
    check_dependencies(SOURCES)


@pytest.mark.parametrize(
    ("module", "addition"),
    [
        ("iirs.wire.limits", "import numpy"),
        ("iirs.server.service", "from sqlalchemy import select"),
        ("iirs.meter.noise_budget", "import dp_accounting"),
        ("iirs.meter.main", "def late():\n    from dp_accounting import pld"),
    ],
)
def test_an_undeclared_dependency_is_caught(module: str, addition: str) -> None:
    with pytest.raises(AssertionError):
        check_dependencies(changed(module, addition))
