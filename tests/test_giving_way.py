"""What computes long while somebody is logged in leaves the machine to the thread that sends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from iirs.client.account import entry_calls, password_keys
from iirs.client.account.account import Account
from iirs.client.account.entry_calls import Home, new_password
from iirs.client.account.giving_way import NICENESS, giving_way
from iirs.client.account.password_keys import PasswordKeys, StretchCost, opens, stretch
from tests.builders import make_chain, person

CHEAP = StretchCost(memory_kib=64, passes=1, lanes=1)
OLD, NEW = "correct horse battery", "staple a green river"


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0) if sys.platform == "linux" else NICENESS


def test_stretching_a_password_beside_a_connection_gives_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fixed: trying a password, or changing it, kept the thread that sends waiting for 3 ms."""
    chain = make_chain().chain
    secret = stretch(chain.chain_id, "alice", OLD, CHEAP).login_secret
    account = Account("alice", chain, person("alice"), secret)
    seen: list[int] = []

    def noted(chain_id: bytes, name: str, password: str, cost: StretchCost) -> PasswordKeys:
        seen.append(niceness())
        return stretch(chain_id, name, password, cost)

    monkeypatch.setattr(password_keys, "stretch", noted)
    monkeypatch.setattr(entry_calls, "stretch", noted)
    assert opens(account, OLD, CHEAP)
    new_password(account, Home(tmp_path, CHEAP), OLD, NEW)
    assert len(seen) == 3
    assert min(seen) >= NICENESS


def test_the_thread_that_asks_keeps_its_priority() -> None:
    before = niceness()
    assert giving_way(max, 1, 2) == 2
    assert niceness() == before


def test_what_goes_wrong_there_is_told() -> None:
    with pytest.raises(ZeroDivisionError):
        giving_way(divmod, 1, 0)
