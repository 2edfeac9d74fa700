"""The command is a thin shell: whatever a verb asks an aggregator is one call of `Client`.

Rules:
- every verb is in one of two tables here, or the first test fails;
- verbs run as a user types them, against a client that notes which of its methods are called.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest
import typer

from dreamshare.client import Artifact, Client, Result
from dreamshare.ids import PartyId, TaskId
from dreamshare.learning.public import HELD, public_of
from dreamshare.protocol.history import EndedRound, RoundEntry, RoundOutcome
from dreamshare.protocol.messages import DeviceStatus, Submit, TaskPhase, TaskReport, TaskStatus
from dreamshare.showing import Rows
from dreamshare_cli.command import build, execute
from dreamshare_cli.operating import Where
from tests.architecture.test_command import verbs

TASK = TaskId(bytes(range(16)))
SHORT = TASK.hex()[:6]
STATUS = TaskStatus(TASK, "", "toy/1", TaskPhase.DONE, "", 1, 1, 0, 3, 3, 0, 0.0, True)
RESULT = Result(STATUS, {"w": np.ones((2, 3), np.float32)}, {"accuracy": 0.5})

ASKS: dict[str, tuple[list[str], list[str]]] = {
    "run submit": (["evaluate/1", "--least", "3", "--watch"], ["order", "watch"]),
    "run watch": ([SHORT], ["find", "watch"]),
    "run list": ([], ["list"]),
    "run pause": ([SHORT], ["find", "pause"]),
    "run resume": ([SHORT], ["find", "resume"]),
    "run cancel": ([SHORT], ["find", "cancel"]),
    "run result": ([SHORT], ["find", "result"]),
    "run artifacts": ([SHORT, "--out", "out.npz", "--only", "w"], ["find", "download"]),
    "run devices": ([], ["devices"]),
    "history": ([SHORT], ["find", "history"]),
}
"""Verb -> its arguments, and the calls that it is. `find` turns the beginning of an id into one."""

LOCAL = {
    "agent": "a device's own program and files",
    "bench": "simulates",
    "broker": "writes a broker's configuration",
    "demo": "starts a federation of its own, and is a client like any other",
    "enrol": "the authority's and a party's keys; requests travel to an authority, not to tasks",
    "export": "makes a bundle",
    "plan": "counts, on this machine alone",
    "policy": "signs a file",
    "shard": "starts a shard of an aggregator",
    "store": "an aggregator's own files",
    "up": "starts an aggregator",
}
"""First word of the verbs that ask no aggregator about tasks -> what they do."""


class Noted:
    """Stands where a Client does; notes the names of its methods that are called."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def order(self, order: Submit) -> TaskStatus:
        self.calls.append("order")
        return STATUS

    async def find(self, beginning: str) -> TaskId:
        self.calls.append("find")
        return TASK

    async def watch(self, task: TaskId, after: int = 0) -> AsyncIterator[TaskReport]:
        self.calls.append("watch")
        yield TaskReport(after + 1, STATUS, "done")

    async def history(self, task: TaskId, after: int = 0) -> AsyncIterator[RoundEntry]:
        self.calls.append("history")
        yield RoundEntry(1, 0.0, EndedRound("fit", 1, RoundOutcome.SUM, "", 3, 3, 100))

    async def list(self) -> Rows[TaskStatus]:
        self.calls.append("list")
        return Rows([STATUS])

    async def devices(self) -> Rows[DeviceStatus]:
        self.calls.append("devices")
        return Rows([DeviceStatus(PartyId(bytes(16)), "a", True, (), 1, 1)])

    async def pause(self, task: TaskId, give_up: bool = False) -> TaskStatus:
        self.calls.append("pause")
        return STATUS

    async def resume(self, task: TaskId) -> TaskStatus:
        self.calls.append("resume")
        return STATUS

    async def cancel(self, task: TaskId) -> TaskStatus:
        self.calls.append("cancel")
        return STATUS

    async def result(self, task: TaskId) -> Result:
        self.calls.append("result")
        return RESULT

    async def artifacts(self, task: TaskId) -> Rows[Artifact]:
        self.calls.append("artifacts")
        return RESULT.artifacts

    async def download(self, task: TaskId, path: Path, only: tuple[str, ...]) -> Rows[Artifact]:
        self.calls.append("download")
        return RESULT.artifacts


def test_every_verb_is_a_call_or_has_nothing_to_ask() -> None:
    leaves = set(verbs(typer.main.get_command(build())))
    assert {leaf for leaf in leaves if leaf.split()[0] not in LOCAL} == set(ASKS)
    for _, calls in ASKS.values():
        assert all(callable(getattr(Client, call)) for call in calls)
        assert len([call for call in calls if call not in ("find", "watch")]) <= 1


@pytest.mark.parametrize("verb", sorted(ASKS))
def test_a_verb_calls_the_client(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(Where, "client", lambda _: Noted(calls))
    arguments, expected = ASKS[verb]
    assert execute([*verb.split(), *arguments]) == 0, capsys.readouterr().err
    assert calls == expected
    assert capsys.readouterr().out


def test_a_task_may_use_the_set_that_another_one_drew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = {
        "images": np.zeros((4, 1, 2, 2), np.uint8), "labels": np.arange(4),
        "low": np.zeros(1), "high": np.ones(1),
    }  # fmt: skip
    orders: list[Submit] = []

    kept = {HELD: 1.0}

    class Drew(Noted):
        async def result(self, task: TaskId) -> Result:
            return Result(STATUS, arrays, kept)

        async def order(self, order: Submit) -> TaskStatus:
            orders.append(order)
            return STATUS

    monkeypatch.setattr(Where, "client", lambda _: Drew([]))
    settings = tmp_path / "task.toml"
    settings.write_text("classes = 4\n")
    asked = ["fedh2l/1", "--config", str(settings), "--least", "3", "--public", SHORT]
    assert execute(["run", "submit", *asked]) == 0, capsys.readouterr().err
    named = json.loads(orders[0].config)
    assert (named["seed_set"], named["seeds"]) == (public_of(arrays).digest, 4)
    asked[0] = "evaluate/1"
    settings.write_text("")
    assert execute(["run", "submit", *asked]) == 2
    assert "takes no public set" in capsys.readouterr().err
    asked[0] = "fedh2l/1"
    kept.clear()
    assert execute(["run", "submit", *asked]) == 2
    said = capsys.readouterr().err
    assert "keep no set" in said and "keep = true" in said and public_of(arrays).digest in said
    assert len(orders) == 1, "nothing was submitted that devices would decline"


def test_every_public_method_of_the_client_says_what_it_does() -> None:
    methods = inspect.getmembers(Client, inspect.isfunction)
    assert [n for n, one in methods if not n.startswith("_") and not one.__doc__] == []
