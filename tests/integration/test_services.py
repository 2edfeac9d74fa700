"""The tests' own services: a missing one skips and says why, a found one is started and ended."""

from __future__ import annotations

import pytest

from tests.postgres import Cluster
from tests.services import REQUIRED, need

pytestmark = pytest.mark.integration


def test_a_missing_service_skips_and_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs Nothing.*nowhere.*make services"):
        need("Nothing", "sh", "nowhere")


def test_where_services_are_required_a_missing_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "required")
    with pytest.raises(pytest.fail.Exception, match="needs Nothing"):
        need("Nothing", "nowhere")


def test_the_tests_database_outlives_its_own_death(own_postgres: Cluster) -> None:
    name = own_postgres.create().rpartition("/")[2]
    own_postgres.execute(name, "CREATE TABLE t (n integer); INSERT INTO t VALUES (7)")
    own_postgres.kill()
    own_postgres.start()
    assert own_postgres.execute(name, "SELECT n FROM t") == "7"
