"""A handful of processes killed in a run; `tests/long` kills twenty, the benchmark two hundred."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.chaos import clean, compare

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

KILLS = 4


def test_killed_processes_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Seed 5 draws the aggregator and agents."""
    figures = compare("grpc", 3, KILLS, 5, tmp_path)
    assert clean(figures, KILLS), figures
    killed = figures["killed"]
    assert isinstance(killed, dict)
    assert {"agent", "aggregator"} <= killed.keys()
