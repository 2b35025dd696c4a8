"""Where there can be no window, one sentence says so and what to do; no screen needed to test it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

_RUN = (
    "from iirs.client.gui import run_window; from iirs.client.account.entry_calls import Home;"
    "from pathlib import Path;"
)
_NEEDED_BY = {
    "PIL": "iirs.client.window.theme.shapes",
    "zxingcpp": "iirs.client.pictures.qr; iirs.client.pictures.qr.read_qr(sys.argv[0])",
    "desktop_notifier": "desktop_notifier",
    "segno": "iirs.client.pictures.qr",
    "bidi": "iirs.client.text.visual_order",
    "arabic_reshaper": "iirs.client.text.visual_order",
    "tkinter": "iirs.client.window.window",
}
_CALL = "sys.exit(run_window(Home(Path(sys.argv[1])), 'iirs://127.0.0.1:1/'))"


def run(before: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    program = f"import sys; {before}; {_RUN} {_CALL}"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


def without_display() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "DISPLAY"}


def test_without_tkinter_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    code, said = run("sys.modules['tkinter'] = None", tmp_path, dict(os.environ))
    assert code == 2
    assert said.count("\n") == 1
    assert "python3-tk" in said
    assert "--terminal" in said


def test_without_a_screen_one_sentence_says_so(tmp_path: Path) -> None:
    if sys.platform != "linux":
        return
    for environment in (without_display(), {**os.environ, "DISPLAY": ":987"}):
        code, said = run("pass", tmp_path, environment)
        assert code == 2
        assert said.count("\n") == 1
        assert "--terminal" in said


@pytest.mark.parametrize(
    "missing", ["PIL", "zxingcpp", "desktop_notifier", "segno", "bidi", "arabic_reshaper", "tkinter"]
)
def test_the_terminal_needs_nothing_that_only_a_window_needs(missing: str) -> None:
    for module, needs_it in (("iirs.client.main", False), (_NEEDED_BY[missing], True)):
        program = f"import sys; sys.modules[{missing!r}] = None; import {module}"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == needs_it, done.stderr
        assert (f"import of {missing}" in done.stderr) == needs_it


def test_where_windows_are_required_there_is_tkinter_to_make_them() -> None:
    """Tests that need it are skipped where it is missing: where windows were promised, this fails."""
    assert importlib.util.find_spec("tkinter") is not None or not os.environ.get("IIRS_REQUIRE_WINDOW")


def test_only_the_window_imports_tkinter(tmp_path: Path) -> None:
    before = (
        "import iirs.client.gui, iirs.client.main, iirs.client.model.chat_model, iirs.client.account_tasks, "
        "iirs.client.text.text_layout, iirs.client.window.theme.shapes; assert 'tkinter' not in sys.modules; "
        "sys.modules['tkinter'] = None"
    )
    assert run(before, tmp_path, without_display())[0] == 2
