"""The versions ``pyproject.toml`` allows: every dependency has a lowest and a highest one."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lowest_tool", ROOT / "packaging" / "lowest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load()


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"]))
def test_every_dependency_has_both_bounds(extra: str) -> None:
    lines = list(TOOL.lowest(PROJECT, extra))
    assert len(lines) > len(PROJECT["dependencies"])
    assert all("==" in line for line in lines)


def test_the_extra_named_by_another_is_taken_in() -> None:
    assert any(line.startswith("dp-accounting==") for line in TOOL.lowest(PROJECT, "test"))


@pytest.mark.parametrize("requirement", ["segno", "segno>=1.6", "segno<2", "segno>=1.6 ?"])
def test_a_missing_bound_is_caught(requirement: str) -> None:
    changed = {**PROJECT, "dependencies": [*PROJECT["dependencies"], requirement]}
    with pytest.raises(ValueError, match="segno"):
        list(TOOL.lowest(changed))
