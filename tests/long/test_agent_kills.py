"""A hundred kills of agents at random instants (docs/protocol.md 9)."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.agent_kills import clean, compare

KILLS = 100


@pytest.mark.timeout(3600)
def test_a_hundred_kills(tmp_path: Path) -> None:
    figures = compare(KILLS, 1, tmp_path)
    assert clean(figures, KILLS), figures
