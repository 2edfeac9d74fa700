"""What a Client refuses before it connects, and requests that were asked twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.base import Question
from dreamshare.client import Client, Result, TaskEnded
from dreamshare.client.requests import Asked
from dreamshare.clock import SystemClock
from dreamshare.errors import ConfigError, LocalProtocolError
from dreamshare.protocol.messages import (
    Cancel,
    ControlReply,
    ListTasks,
    TaskList,
    TaskPhase,
    TaskStatus,
    Watch,
)
from dreamshare.transport.memory import MemoryNetwork
from dreamshare_crypto.certificates import Role
from tests.integration.toy import Loopback
from tests.unit.client.test_command import RESULT, STATUS, TASK


@pytest.fixture
def loopback(tmp_path: Path) -> Loopback:
    return Loopback.create(tmp_path)


class Scripted:
    """Answers as an aggregator that was started again after it had done what was asked."""

    def __init__(self, statuses: tuple[TaskStatus, ...], times: int = 2) -> None:
        self.statuses = statuses
        self.times = times

    async def stream(self, asked: Asked) -> AsyncIterator[ControlReply]:
        asked.times = self.times
        match asked.request:
            case ListTasks():
                yield TaskList(self.statuses)
            case Cancel():
                raise ConfigError("is over already")
            case Watch():
                raise AssertionError("a task that is over is not watched")


def client_of(loopback: Loopback, requests: Scripted) -> Client:
    client = Client(MemoryNetwork(SystemClock()).link("operator"), loopback.operator)
    client._requests = requests  # type: ignore[assignment]
    return client


@pytest.mark.parametrize("role", [Role.DEVICE, Role.AGGREGATOR])
def test_an_identity_of_another_role_is_refused_in_words(loopback: Loopback, role: Role) -> None:
    other = loopback.enrol(role, "other")
    with pytest.raises(ConfigError, match=f"the {role.name.lower()}'s: enrol one"):
        Client(MemoryNetwork(SystemClock()).link("other"), other)


def test_patience_is_above_zero(loopback: Loopback) -> None:
    with pytest.raises(ConfigError, match="must be above 0"):
        Client(MemoryNetwork(SystemClock()).link("x"), loopback.operator, patience_s=0)


async def test_it_is_used_inside_async_with(loopback: Loopback) -> None:
    client = Client(MemoryNetwork(SystemClock()).link("x"), loopback.operator)
    with pytest.raises(LocalProtocolError, match="use it inside `async with`"):
        await client.list()
    assert repr(client).startswith("Client(")


async def test_a_cancellation_asked_twice_is_one(loopback: Loopback) -> None:
    cancelled = replace(STATUS, phase=TaskPhase.CANCELLED)
    again = client_of(loopback, Scripted((cancelled,)))
    assert await again.cancel(TASK) == cancelled
    for statuses, times in (((cancelled,), 1), ((STATUS,), 2)):
        with pytest.raises(ConfigError, match="over already"):
            await client_of(loopback, Scripted(statuses, times)).cancel(TASK)


async def test_a_task_is_found_by_the_beginning_of_its_id(loopback: Loopback) -> None:
    client = client_of(loopback, Scripted((STATUS,)))
    assert await client.find("0001") == TASK
    assert await client.find(TASK.hex()) == TASK
    with pytest.raises(ConfigError, match="no task begins with 'ff'"):
        await client.find("ff")
    with pytest.raises(ConfigError, match="there is no task"):
        await client_of(loopback, Scripted(())).status(TASK)
    both = client_of(loopback, Scripted((STATUS, STATUS)))
    with pytest.raises(ConfigError, match="2 tasks begin"):
        await both.find("00")


async def test_who_waits_for_a_failed_task_is_told_why(loopback: Loopback) -> None:
    failed = replace(STATUS, phase=TaskPhase.FAILED, detail="too few devices")
    with pytest.raises(TaskEnded, match="failed: too few devices"):
        await client_of(loopback, Scripted((failed,))).finished(TASK)


def test_a_result_is_saved_without_pickles_and_described(tmp_path: Path) -> None:
    RESULT.save(tmp_path / "all.npz", only=("w",))
    with np.load(tmp_path / "all.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["w"], np.ones((2, 3), np.float32))
    (artifact,) = RESULT.artifacts
    assert (artifact.name, artifact.dtype, artifact.shape, artifact.size) == (
        "w",
        "float32",
        (2, 3),
        24,
    )
    twin = Result(STATUS, {"w": np.ones((3, 2), np.float32).T}, {})
    assert twin.artifacts[0].sha256 == artifact.sha256, "of the content, however it lies in memory"
    with pytest.raises(ConfigError, match="has no array bias; there are: w"):
        RESULT.save(tmp_path / "some.npz", only=("bias",))
    with pytest.raises(ConfigError, match="cannot write"):
        RESULT.save(tmp_path / "nowhere" / "all.npz")


async def test_an_unexpected_question_is_an_error_of_ours(loopback: Loopback) -> None:
    client = Client(MemoryNetwork(SystemClock()).link("x"), loopback.operator)
    with pytest.raises(LocalProtocolError):
        await client.ask(TASK, Question("value"))
