"""How the suite runs: what is quick, what begins first, how many processes, and the screens for windows.

Nothing here lists files or tests. What a test is follows from what its file imports, so that a new file needs
no entry anywhere. Each file stays in one process (``--dist loadfile``): its tests may share a server, or a
screen.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from tests.effort import CI, SOAK, examples
from tests.virtual_screen import VirtualScreen, has_virtual_screens

_STARTS_SOMETHING = frozenset({"socket", "subprocess", "threading", "tests.harness"})
"""Whoever uses these starts a process, a thread or a server and waits for it. All other tests are quick."""
_DRAWN = 20
"""A test whose examples are drawn counts as so many others."""
_WORKERS_MAX = 8
_MEMORY_WANTED = 2 * 2**30

# A machine's speed must not decide whether a property holds: no deadline. A plain run draws the same examples
# every time, so that red means the change at hand; CI and soaks draw new ones, and print how to repeat them.
_CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("iirs", _CALM, derandomize=not (CI or SOAK), max_examples=examples(40))
settings.load_profile("iirs")

# Stores commit to the disk at every step. In memory that costs nothing, and no test pulls a plug.
if Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > _MEMORY_WANTED:  # noqa: S108
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")  # noqa: S108

# A suite that a script starts with ``&`` inherits that Ctrl-C is ignored; so would each program it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Where Python is told to keep no compiled modules, each program that a test starts would compile all of ours,
# a second of work each time. They share a folder for this run instead; the checkout stays as it is.
_compiled: tempfile.TemporaryDirectory[str] | None = None
if os.environ.get("PYTHONDONTWRITEBYTECODE"):
    _compiled = tempfile.TemporaryDirectory(prefix="iirs-compiled-")
    os.environ["PYTHONPYCACHEPREFIX"] = _compiled.name
    del os.environ["PYTHONDONTWRITEBYTECODE"]

_screen = VirtualScreen()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes share the tests: twice the cores, for most tests wait; no more than files.

    ``-n logical``, for quick tests, which do not wait: as many as cores.

    A single file runs in this process, where a debugger reaches it. So does everything where windows would
    open on a person's own screen: two files would take the keyboard from each other.
    """
    a_core = 1 if config.option.numprocesses == "logical" else 2
    workers = min(_WORKERS_MAX, a_core * (os.cpu_count() or 1))
    named = {argument.split("::")[0] for argument in config.option.file_or_dir}
    if named and all(name.endswith(".py") for name in named):
        workers = min(workers, len(named))
    has_own_screen = "DISPLAY" in os.environ or sys.platform != "linux"
    return 0 if workers == 1 or (has_own_screen and not has_virtual_screens()) else workers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is not quick, and have long and large files begin first: nobody waits for one in the end."""
    turns: dict[Path, int] = {}
    sizes = Counter[Path]()
    for item in items:
        drawn = hasattr(getattr(item, "obj", None), "hypothesis")
        sizes[item.path] += _DRAWN if drawn else 1
        module = item.getparent(pytest.Module)
        assert module is not None
        if uses(module.obj, _STARTS_SOMETHING):
            item.add_marker(pytest.mark.realtime)
        marks = {mark.name for mark in item.iter_markers()}
        turn = 0 if "slow" in marks else 1 if marks & {"realtime", "window"} else 2
        turns[item.path] = min(turn, turns.get(item.path, turn))
    items.sort(key=lambda item: (turns[item.path], -sizes[item.path]))


def pytest_collection_finish() -> None:
    """What was imported stays: to look through it for garbage again and again costs more than most tests."""
    gc.collect()
    gc.freeze()


@cache  # asked for each test of a file
def uses(module: ModuleType, wanted: frozenset[str]) -> bool:
    """Return whether a file imports anything from one of these modules, itself or through its helpers."""
    names = {
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        for value in vars(module).values()
    }
    helpers = {name for name in names if name and name.startswith("tests.") and name != module.__name__}
    return bool(names & wanted) or any(uses(sys.modules[name], wanted) for name in helpers)


@pytest.hookimpl(tryfirst=True)  # before the fixtures
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("window"):
        _screen.start()


def pytest_unconfigure() -> None:
    _screen.stop()
    if _compiled is not None:
        _compiled.cleanup()
