"""What an operator sees of a task that is followed."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from rich.console import Console

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import Stratum, TaskPhase, TaskReport, TaskStatus
from dreamshare_cli.exits import Exit
from dreamshare_cli.following import bar, follow
from dreamshare_cli.submitting import stratum_of

STATUS = TaskStatus(
    task=TaskId(bytes(16)), name="", algorithm="fedavg/1", phase=TaskPhase.RUNNING, detail="[red]",
    cycle=0, aggregations=1, abandoned=0, roster=4, alive=4, dropped=0, submitted=0.0,
    secure_aggregation=True, planned=4,
)  # fmt: skip
RUN = (
    TaskReport(1, STATUS, "round", {"survivors": 4.0}),
    TaskReport(2, replace(STATUS, aggregations=2), "round"),
    TaskReport(3, replace(STATUS, aggregations=4, phase=TaskPhase.DONE, detail="done"), "done"),
)


async def reports(count: int = 3) -> AsyncIterator[TaskReport]:
    for report in RUN[:count]:
        yield report


async def test_reports_are_lines_and_json_objects(capsys: pytest.CaptureFixture[str]) -> None:
    assert await follow(reports(), as_json=False) is Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "    1  round        [red]  survivors 4"
    assert await follow(reports(2), as_json=True) is Exit.FAILED, "it did not end well"
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["number"] for each in found] == [1, 2]
    assert found[0]["status"]["planned"] == 4


def test_a_terminal_shows_a_bar_of_the_sums_below_the_lines() -> None:
    file = io.StringIO()
    with bar(Console(file=file, force_terminal=True, width=100, no_color=True)) as show:
        for report in RUN:
            show(report)
    text = file.getvalue()
    assert "1  round        [red]" in text
    assert "4/4" in text.splitlines()[-1] or "4/4" in text
    assert "done" in text


def test_a_stratum_reads_in_one_way() -> None:
    assert stratum_of("region=eu:5-10") == Stratum("region", "eu", 5, 10)
    assert stratum_of("region=eu:5-") == Stratum("region", "eu", 5, 0)
    assert stratum_of("region=eu:-10") == Stratum("region", "eu", 0, 10)
    assert stratum_of("region=eu") == Stratum("region", "eu")
    for wrong in ("region", "region=eu:5", "=eu", "region=eu:a-b"):
        with pytest.raises(ConfigError, match="must read 'name=value:least-most'"):
            stratum_of(wrong)
