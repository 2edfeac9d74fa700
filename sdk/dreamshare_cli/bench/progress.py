"""What a person or a program sees while cells run.

Rules:
- with `--json` each piece of news is one JSON object on standard output; else a bar with the cells
  at work on standard error, and a line for each cell that ended.
"""

from __future__ import annotations

import json
from statistics import fmean
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dreamshare.algorithms.trees import Tree
from dreamshare_cli.bench.rows import fields_of
from dreamshare_cli.bench.runner import News, State


class Show(Protocol):
    """Where news go; `with` it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def tell(self, news: News) -> None:
        """Show one piece of news."""
        ...


class JsonShow:
    """One JSON object a line."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to put back."""

    def tell(self, news: News) -> None:
        fields: dict[str, Tree] = {"cell": news.cell.key, "state": news.state.value}
        if news.text:
            fields["text"] = news.text
        if news.round is not None:
            fields |= fields_of(news.round)
        print(json.dumps(fields, allow_nan=False), flush=True)


class BarShow:
    """A progress bar over `total` cells."""

    def __init__(self, total: int) -> None:
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            refresh_per_second=2,  # a second process has better use for the core
        )
        self._bar = self._progress.add_task("", total=total)
        self._last: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def tell(self, news: News) -> None:
        key = news.cell.key
        match news.state:
            case State.STARTED:
                self._last[key] = 0.0
            case State.ROUND if news.round is not None:
                self._last[key] = 100 * fmean(news.round.devices)
            case State.AGAIN | State.FAILED:
                self._progress.console.print(f"{key}: {news.state}: {news.text}", highlight=False)
            case State.DONE:
                reached = self._last.get(key, 0.0)
                line = f"{key}: validation {reached:.1f} %"
                self._progress.console.print(line, highlight=False)
        if news.state in (State.FOUND, State.DONE, State.FAILED):
            self._last.pop(key, None)
            self._progress.advance(self._bar)
        at_work = "  ".join(f"{key} {reached:.0f} %" for key, reached in self._last.items())
        self._progress.update(self._bar, description=at_work)
