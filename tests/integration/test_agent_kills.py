"""Agents killed at random instants; `tests/long` kills a hundred, those with ONNX learners, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.agent_kills import clean, compare

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

KILLS = 5


def test_a_killed_agent_keeps_its_store_and_repeats_nothing(tmp_path: Path) -> None:
    figures = compare(KILLS, 3, tmp_path, "sample")
    assert clean(figures, KILLS), figures
