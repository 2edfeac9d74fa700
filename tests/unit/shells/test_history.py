"""The history of rounds, and how long it and the rest of a finished task are kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dreamshare.clock import ManualClock
from dreamshare.errors import ConfigError
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.history import EndedRound, RoundEntry, RoundOutcome
from dreamshare.protocol.messages import TaskPhase
from dreamshare.protocol.outcomes import EpochEnded, SumAbandoned, SumDone, TellSpread
from dreamshare_aggregator.database import StoreSettings
from dreamshare_aggregator.history import round_of
from dreamshare_aggregator.retention import Retention, Tidied, keep_tidy
from dreamshare_aggregator.store import open_store
from dreamshare_crypto.secagg.events import AbortReason
from tests.postgres import new_database
from tests.unit.shells.test_aggregator_store import ORDER, STATUS, TASK

DAY_S = 86_400.0
SUM = EndedRound("gradient", 1, RoundOutcome.SUM, "", 8, 6, 4000)
GIVEN_UP = EndedRound("gradient", 2, RoundOutcome.ABANDONED, "deadline", 8, 0, 900)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_database(request, tmp_path)


def test_a_round_is_what_a_sum_or_its_end_says() -> None:
    party = PartyId(b"d" * 16)
    done = SumDone({}, 3.0, (party,) * 6, 8, "gradient", 1)
    assert round_of(done, 0, 4000) == SUM
    lost = SumAbandoned(AbortReason.TOO_FEW_INPUTS, False, "gradient", 2)
    assert round_of(lost, 8, 900) == replace(GIVEN_UP, reason="too few inputs")
    again = SumAbandoned(AbortReason.TOO_FEW_INPUTS, True, "gradient", 2)
    assert round_of(again, 8, 900) == replace(GIVEN_UP, reason="too few inputs; asked again")
    told = round_of(TellSpread(1, 8, 7, "share", 3), 0, 50)
    assert told == EndedRound("share", 3, RoundOutcome.TOLD, "", 8, 7, 50)
    assert round_of(EpochEnded("over"), 8, 0) is None


async def test_the_history_outlives_the_process(url: str) -> None:
    clock = ManualClock(1000.0)
    async with open_store(url, StoreSettings(clock=clock)) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", {}, b"state", SUM)
        clock.advance_to(1007.5)
        await store.advance(STATUS, "abandoned", {}, None, GIVEN_UP)
        await store.advance(STATUS, "dropped")
    async with open_store(url) as store:
        found = await store.history(TASK)
        assert found == [RoundEntry(1, 1000.0, SUM), RoundEntry(2, 1007.5, GIVEN_UP)]
        assert [entry.dropped for entry in found] == [2, 8]
        assert await store.history(TASK, after=1) == found[1:]
        assert await store.history(TASK, most=1) == found[:1]
        assert await store.history(TaskId(bytes(16))) == []


async def test_what_is_over_age_goes_and_unfinished_tasks_keep_all(url: str) -> None:
    clock = ManualClock(1000.0)
    over = replace(STATUS, task=TaskId(b"o" * 16))
    done = replace(over, phase=TaskPhase.DONE)
    async with open_store(url, StoreSettings(clock=clock)) as store:
        for status in (STATUS, over):
            await store.add(ORDER, status)
            await store.advance(status, "round", {}, b"state", SUM)
        await store.finish(done, "done", {}, b"archive")
        both = Retention(reports_days=10, history_days=20, results_days=30)
        clock.advance_to(1000.0 + 9.9 * DAY_S)
        assert await store.tidy(both) == Tidied(0, 0, 0)
        clock.advance_to(1000.0 + 10.1 * DAY_S)
        assert await store.tidy(both) == Tidied(2, 0, 0)
        assert [report.event for report in await store.reports(over.task)] == ["done"]
        clock.advance_to(1000.0 + 31 * DAY_S)
        assert await store.tidy(both) == Tidied(0, 1, 1)
        assert await store.result(done) is None
        assert await store.history(over.task) == []
        assert len(await store.tasks()) == 2
        assert len(await store.reports(TASK)) == 2
        assert len(await store.history(TASK)) == 1


async def test_zero_keeps_for_ever(url: str) -> None:
    clock = ManualClock(1000.0)
    async with open_store(url, StoreSettings(clock=clock)) as store:
        await store.add(ORDER, STATUS)
        await store.finish(replace(STATUS, phase=TaskPhase.DONE), "done", {}, b"archive")
        clock.advance_to(1e9)
        assert await store.tidy(Retention(0, 0, 0)) == Tidied(0, 0, 0)


@pytest.mark.parametrize("name", ["reports_days", "history_days", "results_days"])
def test_days_are_not_negative(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Retention(**{name: -1.0})
    with pytest.raises(ConfigError, match=name):
        Retention(**{name: float("nan")})


class Counting:
    """A store that counts how often it is tidied."""

    def __init__(self) -> None:
        self.times = 0

    async def tidy(self, retention: Retention) -> Tidied:
        self.times += 1
        return Tidied(1, 0, 0)


async def test_it_is_carried_out_at_the_start_and_once_a_day() -> None:
    clock, store = ManualClock(1000.0), Counting()
    tidying = asyncio.create_task(keep_tidy(store, Retention(), clock))
    for day, times in ((0.0, 1), (0.9, 1), (1.0, 2), (1.5, 2), (2.0, 3)):
        clock.advance_to(1000.0 + day * DAY_S)
        for _ in range(5):
            await asyncio.sleep(0)
        assert store.times == times
    tidying.cancel()
