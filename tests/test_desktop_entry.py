"""The entry in the desktop's menu: what is written, and that removing it leaves nothing."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from iirs.client.desktop.menu_entry import quoted
from iirs.client.main import main
from iirs.errors import ConfigError
from tests.test_architecture import SOURCES, changed, imports

linux = pytest.mark.skipif(sys.platform != "linux", reason="entries are for Linux")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a folder" / "iirs-client"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "argv", [str(path)])
    return path


@linux
def test_an_entry_is_written_and_removed_and_nothing_else(program: Path, tmp_path: Path) -> None:
    other = tmp_path / "data/applications/other.desktop"
    other.parent.mkdir(parents=True)
    other.write_text("stays")
    assert main(["--desktop-entry", "install"]) == 0
    entry = other.parent / "iirs.desktop"
    parsed = configparser.RawConfigParser()
    parsed.optionxform = str  # type: ignore[assignment]
    parsed.read(entry)
    values = parsed["Desktop Entry"]
    assert values["Exec"] == f'"{program}" %u'
    assert values["MimeType"] == "x-scheme-handler/iirs;"
    assert values["StartupWMClass"] == "Iirs"
    validator = shutil.which("desktop-file-validate")
    if validator:
        subprocess.run([validator, str(entry)], check=True)
    assert main(["--desktop-entry", "remove"]) == 0
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == [other]
    assert main(["--desktop-entry", "remove"]) == 0


@linux
def test_a_program_that_is_not_installed_is_said(
    program: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["client.py"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--desktop-entry", "install"]) == 2
    assert "not installed" in capsys.readouterr().err


def test_other_systems_are_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert main(["--desktop-entry", "install"]) == 2
    assert "Linux only" in capsys.readouterr().err


def test_odd_paths_are_quoted_and_impossible_ones_refused() -> None:
    assert quoted("/a b/100%/iirs-client") == '"/a b/100%%/iirs-client"'
    assert quoted("/a$b/iirs-client") == '"/a\\\\$b/iirs-client"'
    for path in ("/a=b/iirs-client", "/a\nb/iirs-client"):
        with pytest.raises(ConfigError):
            quoted(path)


def check_portable(sources: dict[str, str]) -> None:
    platform_only = {"fcntl", "pwd", "grp", "resource", "termios", "tty", "winreg", "msvcrt", "winsound"}
    for module in sources:
        if module.startswith("iirs.client"):
            assert not platform_only & set(imports(sources, module, top_level=True)), module


def test_the_client_needs_nothing_that_only_one_system_has() -> None:
    check_portable(SOURCES)
    with pytest.raises(AssertionError):
        check_portable(changed("iirs.client.store.store", "import fcntl"))
