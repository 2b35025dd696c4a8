"""What tests that decode pictures begin with: ``pytest_plugins = ["tests.decoder_fixtures"]``."""

from __future__ import annotations

import pytest

from iirs.client.pictures import decoder


@pytest.fixture
def usual_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders that give way to nobody: on a busy machine tests would wait long for the others."""
    monkeypatch.setattr(decoder, "give_way", lambda pid: None)
