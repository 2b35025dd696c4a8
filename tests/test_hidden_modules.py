"""What only the window needs is not needed to run servers: real ones start, and mix, where it is hidden."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iirs.demo.local_chain import local_chain
from iirs.errors import ConfigError
from tests.harness import wait_until
from tests.test_programs import ROOT, server

WINDOW_ONLY = (
    "PIL",
    "zxingcpp",
    "desktop_notifier",
    "segno",
    "bidi",
    "sqlcipher3",
    "tkinter",
    "zxcvbn",
    "arabic_reshaper",
)
HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def hide(names: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every Python that is started from now on lack these modules."""
    (folder / "sitecustomize.py").write_text(HIDE.format(names=names))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_server_and_a_mix_make_rounds_without_what_only_the_window_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(WINDOW_ONLY, tmp_path, monkeypatch)
    assert all(run("-c", f"import {name}").returncode for name in WINDOW_ONLY), "they are hidden indeed"
    with local_chain(2, 0.5) as chain:
        wait_until(lambda: all(view["rounds"] > 1 for view in chain.views()), 60)


def test_a_chain_does_not_start_without_what_it_does_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(("cryptography",), tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match="cryptography"), local_chain(1, 0.5):
        pass


def test_a_server_without_segno_says_why_there_is_no_qr_code_if_one_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for names, arguments, told in (
        (("segno",), ("--qr",), True),
        (("segno",), (), False),
        (("PIL",), ("--qr",), False),
    ):
        hide(names, tmp_path, monkeypatch)
        with server("--ephemeral", *arguments) as (process, _):
            process.terminate()
            output, status = process.communicate(timeout=20)
        assert ("iirs-server: no QR code: segno is not installed (pip install segno)" in status) == told
        assert bool(output) == ("--qr" in arguments and not told)


@pytest.mark.parametrize("program", ["server.py", "client.py"])
def test_a_checkout_whose_dependencies_are_not_installed_says_so(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(("cryptography",), tmp_path, monkeypatch)
    ended = run(str(ROOT / program), "--help")
    assert ended.returncode == 2
    name = f"iirs-{program.removesuffix('.py')}"
    assert ended.stderr == f"{name}: cryptography is not installed: run `pip install .` here first\n"
    hide((), tmp_path, monkeypatch)
    assert run(str(ROOT / program), "--help").returncode == 0


@pytest.mark.parametrize("name", ["segno", "PIL", "bidi"])
def test_a_checkout_that_lacks_what_only_the_window_needs_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide((name,), tmp_path, monkeypatch)
    ended = run(str(ROOT / "client.py"))
    assert ended.returncode == 2
    assert ended.stderr == f"iirs-client: {name} is not installed: run `pip install .` here first\n"


def test_a_fault_of_the_program_itself_is_not_taken_for_a_missing_dependency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "iirs").mkdir()
    (tmp_path / "iirs" / "__init__.py").write_text("import iirs.nothing\n")
    (tmp_path / "server.py").write_text((ROOT / "server.py").read_text())
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert "Traceback" in run(str(tmp_path / "server.py"), "--help").stderr
