"""Twenty kills of aggregator, agents and broker over each transport; some of the database, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.chaos import TRANSPORTS, clean, compare

from tests.services import need

KILLS = 20
DATABASE_KILLS = 8


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_twenty_kills(transport: str, tmp_path: Path) -> None:
    if transport == "mqtt":
        need("Mosquitto", "mosquitto")
    figures = compare(transport, 4, KILLS, 1, tmp_path)
    assert clean(figures, KILLS), figures


@pytest.mark.timeout(1800)
def test_kills_of_the_database_too(tmp_path: Path) -> None:
    """Seed 3 draws all three kinds of process."""
    need("PostgreSQL", "postgres", "initdb", "psql")
    figures = compare("grpc", 4, DATABASE_KILLS, 3, tmp_path, "postgresql")
    assert clean(figures, DATABASE_KILLS), figures
    killed = figures["killed"]
    assert isinstance(killed, dict)
    assert {"agent", "aggregator", "database"} <= killed.keys()
