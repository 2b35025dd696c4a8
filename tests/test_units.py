"""The systemd units are well formed, start programs that are there, and give away next to nothing.

``systemd-analyze`` judges them as files; nothing is started. After each success one line is altered and the
failure is demanded.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from iirs.server import main as server_main
from iirs.server.hops import main as mix_main

ROOT = Path(__file__).parent.parent
UNITS = sorted((ROOT / "packaging" / "systemd").glob("*.service"))
PARSERS = {"iirs-server": server_main.parse_arguments, "iirs-mix": mix_main.parse_arguments}
THRESHOLD = 12
"""An exposure of 1.2, of 10: systemd's own word for a service without a sandbox is 9.6, "unsafe"."""
MUST_BE_THERE = {
    "DynamicUser=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "NoNewPrivileges=yes",
    "CapabilityBoundingSet=", "MemoryDenyWriteExecute=yes", "UMask=0077", "LimitCORE=0", "MemorySwapMax=0",
    "SystemCallFilter=@system-service", "RestrictAddressFamilies=AF_INET AF_INET6", "StateDirectoryMode=0700",
}  # fmt: skip
"""Some of these do not count in the exposure because another line implies them; they stay written."""

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and not os.environ.get("IIRS_REQUIRE_UNITS"),
    reason="needs systemd-analyze",
)
each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)


def analyze(
    command: str, text: str, name: str, folder: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run ``systemd-analyze`` on a unit with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return subprocess.run(
        ["systemd-analyze", command, "--no-pager", *options, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def rated_well(text: str, name: str, folder: Path) -> bool:
    """Say whether the unit's exposure is within ``THRESHOLD``."""
    options = ("--offline=true", f"--threshold={THRESHOLD}")
    result = analyze("security", text, name, folder, *options)
    assert f"Overall exposure level for {name}" in result.stdout, result.stderr
    return result.returncode == 0


def complaints(text: str, name: str, folder: Path) -> str:
    """Return what systemd does not understand in the unit; its program is taken to be installed."""
    there = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", text, flags=re.M)
    result = analyze("verify", there, name, folder, "--recursive-errors=no")
    return "".join(line for line in result.stderr.splitlines(keepends=True) if name in line)


def without(text: str, line: str) -> str:
    """Return the unit without one line, which must be there."""
    assert line in text.splitlines()
    return text.replace(f"\n{line}\n", "\n", 1)


def test_both_programs_that_stay_up_have_a_unit() -> None:
    assert [unit.stem for unit in UNITS] == sorted(PARSERS)


@needs_analyze
@each_unit
def test_a_unit_is_hardened(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    assert rated_well(text, unit.name, tmp_path)
    assert set(text.splitlines()) >= MUST_BE_THERE


@needs_analyze
@pytest.mark.parametrize(
    "line",
    [
        "CapabilityBoundingSet=",
        "SystemCallFilter=@system-service",
        "RestrictAddressFamilies=AF_INET AF_INET6",
        "RestrictNamespaces=yes",
        "DynamicUser=yes",
    ],
)
@each_unit
def test_a_unit_that_lost_a_hardening_line_is_caught(unit: Path, line: str, tmp_path: Path) -> None:
    assert not rated_well(without(unit.read_text(encoding="utf-8"), line), unit.name, tmp_path)


@needs_analyze
@each_unit
def test_systemd_understands_every_line_of_a_unit(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    assert complaints(text, unit.name, tmp_path) == ""
    assert "ProtectClok" in complaints(text.replace("ProtectClock", "ProtectClok"), unit.name, tmp_path)


def check_start(text: str) -> None:
    """The unit starts an installed program with options it has, on the directory systemd makes for it."""
    program, *options = re.findall(r"^ExecStart=/opt/iirs/bin/(.*)$", text, flags=re.M)[0].split()
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert program in scripts
    folder = re.findall(r"^StateDirectory=(.*)$", text, flags=re.M)
    runtime = re.findall(r"^RuntimeDirectory=(.*)$", text, flags=re.M)
    parsed = PARSERS[program](options)
    assert [str(parsed.data_dir)] == [f"%S/{name}" for name in folder]
    assert re.findall(r"^Environment=TMPDIR=(.*)$", text, flags=re.M) == [f"%t/{name}" for name in runtime]
    assert folder == runtime == [program]


@each_unit
def test_a_unit_starts_its_program_with_options_that_exist(unit: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    check_start(text)
    for old, new in (
        ("--log-level info", "--log-level all"),
        ("--data-dir", "--data-folder"),
        ("StateDirectory=iirs", "StateDirectory=other"),
        ("bin/iirs-", "bin/other-"),
    ):
        assert old in text
        with pytest.raises((AssertionError, SystemExit)):
            check_start(text.replace(old, new))
