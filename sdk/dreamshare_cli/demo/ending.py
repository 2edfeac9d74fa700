"""What the terminal shows when a demo is over."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from dreamshare_cli.demo.disclosure import disclose
from dreamshare_cli.demo.publish import Published
from dreamshare_cli.demo.report import compared, gain_text, megabytes, rounds_text
from dreamshare_cli.demo.result import ClientResult, DemoResult, RunResult
from dreamshare_cli.demo.wording import WORDINGS

WIDTH = 78


def ending(result: DemoResult, published: Published) -> str:
    """Return the closing text: figures, what the aggregator could see, where the files are."""
    names = [run.name for run in result.runs]
    lines = [_row("", ["alone", "histogram", *(WORDINGS[name].column for name in names)])]
    lines += [_line(client, names) for client in result.clients]
    means = [result.mean_independent, result.mean_balanced, *map(result.mean, names)]
    lines.append(_row("mean", [_percent(mean) for mean in means]))
    for title, tell in _rows(result):
        lines.append(_row(title, ["", "", *(tell(run) for run in result.runs)]))
    lines += ["", *_fill(compared(result)), "", *_fill(_summary(result))]
    told = disclose(result)
    for title, sentences in (
        ("The aggregator could see", told.seen),
        ("The aggregator could not see", told.unseen),
        ("Mind", told.limits),
    ):
        lines += ["", title]
        for sentence in sentences:
            lines += _fill(sentence, "  - ", "    ")
    lines += ["", f"report    {published.report}", f"pictures  {published.accuracy}"]
    lines += [f"          {path}" for path in published.galleries]
    lines.append(f"figures   {published.result}")
    return "\n".join(lines)


def _rows(result: DemoResult) -> tuple[tuple[str, Callable[[RunResult], str]], ...]:
    """Return what is said of each run below its mean."""
    alone = result.mean_independent
    return (
        ("gain over alone", lambda run: gain_text(result.mean(run.name) - alone)),
        ("rounds", rounds_text),
        ("masked sums", lambda run: str(run.aggregations)),
        ("up, each device", lambda run: megabytes(result.bytes_up(run.name))),
        ("down, each device", lambda run: megabytes(result.bytes_down(run.name))),
        ("time", lambda run: f"{run.seconds:.0f} s"),
    )


def _line(client: ClientResult, names: Sequence[str]) -> str:
    head = f"{client.name:<10} {client.architecture:<17}{client.runtime:<6}"
    cells = [client.independent, client.balanced, *map(client.reached, names)]
    if not client.alive:
        return f"{head}killed on the way"
    return _row(head, ["" if cell is None else _percent(cell) for cell in cells])


def _row(head: str, cells: Sequence[str]) -> str:
    return f"{head:<34}" + "".join(f"{cell:>11}" for cell in cells)


def _percent(value: float) -> str:
    return f"{value:.1f} %"


def _summary(result: DemoResult) -> str:
    kept = "confirmed by both sides" if result.secure_aggregation else "NOT CONFIRMED"
    sums = sum(run.aggregations for run in result.runs)
    return (
        f"Secure aggregation {kept}: {sums} masked sums in {result.seconds:.0f} s, starting "
        f"included; {result.dropped} dropped."
    )


def _fill(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)
