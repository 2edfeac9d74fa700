"""Twenty kills of aggregator, agents and broker, over each transport (docs/protocol.md 9)."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.chaos import TRANSPORTS, clean, compare

from tests.services import need

KILLS = 20


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_twenty_kills(transport: str, tmp_path: Path) -> None:
    if transport == "mqtt":
        need("Mosquitto", "mosquitto")
    figures = compare(transport, 4, KILLS, 1, tmp_path)
    assert clean(figures, KILLS), figures
