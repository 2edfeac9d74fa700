"""A task's reports as they come: lines, JSON, or lines above a bar on a terminal.

Rules: the bar counts masked sums of those that the run needs as far as that is known; what is
printed above it is what is printed without one, so that a log holds the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from dreamshare.protocol.messages import TaskPhase, TaskReport
from dreamshare_cli.exits import Exit
from dreamshare_cli.operating import exit_of_status, report_fields, report_line
from dreamshare_cli.output import Output

if TYPE_CHECKING:
    from rich.console import Console


class Show(Protocol):
    """Shows one report."""

    def __call__(self, report: TaskReport) -> None:
        """Show it at once."""
        ...


async def follow(reports: AsyncIterator[TaskReport], as_json: bool) -> Exit:
    """Show a task's reports until it ends; return the exit code.

    A bar is drawn where standard output is a terminal and no JSON is wanted.
    """
    from rich.console import Console

    console = Console()
    if as_json or not console.is_terminal:
        output = Output(as_json)
        return await _follow(reports, lambda r: output.show(report_fields(r), report_line(r)))
    with bar(console) as show:
        return await _follow(reports, show)


async def _follow(reports: AsyncIterator[TaskReport], show: Show) -> Exit:
    code = Exit.FAILED
    async for report in reports:
        show(report)
        code = exit_of_status(report.status)
    return code


@contextmanager
def bar(console: Console) -> Iterator[Show]:
    """Draw a bar below the lines while the body runs."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("sums"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        drawn = progress.add_task(TaskPhase.WAITING.value, total=None)

        def show(report: TaskReport) -> None:
            status = report.status
            progress.console.print(report_line(report), markup=False, highlight=False)
            progress.update(
                drawn,
                description=status.phase.value,
                completed=status.aggregations,
                total=status.planned or None,
            )

        yield show
