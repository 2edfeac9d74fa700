"""A hundred kills of agents at random instants (docs/protocol.md 9)."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.agent_kills import clean, compare
from benchmarks.agent_learners import RUNTIMES

KILLS = 100


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_hundred_kills(tmp_path: Path, runtime: str) -> None:
    figures = compare(KILLS, 1, tmp_path, runtime)
    assert clean(figures, KILLS), figures
