"""What ``iirs-chain`` says of the noise it sizes: how much, what it takes, and what decided it."""

from __future__ import annotations

from pathlib import Path

import pytest

from iirs.chain import parse_chain
from iirs.noise import CircuitCost
from iirs.server.hops import setup_main

MACHINE = CircuitCost(lambda layers: 0.0001 * layers, 0.0001, 0.000002)
LINE = "decides how much, of which noise takes a quarter"


@pytest.fixture(autouse=True)
def the_same_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_main, "measure", lambda suite, hops: MACHINE)


def make(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """Return the mean of the noise of a chain of three, and what was said."""
    assert setup_main.main(["init", str(folder / "chain"), *options]) == 0
    return parse_chain((folder / "chain" / "chain.toml").read_bytes()).noise.mu, capsys.readouterr().out


def test_on_one_machine_its_share_decides_and_no_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mean, said = make(tmp_path, capsys)
    assert "The share of the machine decides how much." in said
    assert LINE not in said
    # 2 * mean circuits over two links, of a kibibyte each in two seconds, at 8 bits.
    assert f"Noise takes {2 * mean * 2 * 1024 * 8 / 2e6:.3g} Mbit/s each way of the line" in said


def test_a_line_that_carries_less_decides_and_it_is_said_what_the_machine_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    most, _ = make(tmp_path / "free", capsys)
    mean, said = make(tmp_path / "slow", capsys, "--line-mbit", "50")
    assert f"The line of 50 Mbit/s {LINE}" in said
    assert f"a mean of {most:,} singles" in said
    assert mean < most
    assert 2 * mean * 2 * 1024 * 8 / 2 <= 50e6 / 4 < 2 * (mean + 2) * 2 * 1024 * 8 / 2
    wide, said = make(tmp_path / "wide", capsys, "--line-mbit", "10000")
    assert (wide, LINE in said) == (most, False)


def test_what_is_given_is_not_said_to_be_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mean, said = make(tmp_path, capsys, "--noise-mu", "1000", "--noise-b", "48")
    assert mean == 1000
    assert "decides" not in said
    assert "Noise takes" in said


def test_longer_epochs_buy_more_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short, said = make(tmp_path / "short", capsys, "--epoch-rounds", "5")
    assert "There is a setup every 5 rounds." in said
    assert short < make(tmp_path / "long", capsys, "--epoch-rounds", "20")[0]
