"""What the terminal shows when a demo is over."""

from __future__ import annotations

import textwrap

from dreamshare_cli.demo.disclosure import disclose
from dreamshare_cli.demo.publish import Published
from dreamshare_cli.demo.report import compared, gain_text, megabytes
from dreamshare_cli.demo.result import ClientResult, DemoResult

WIDTH = 78


def ending(result: DemoResult, published: Published) -> str:
    """Return the closing text: figures, what the aggregator could see, where the files are."""
    lines = [f"{'':<10} {'':<17}{'':<6}{'alone':>9} {'histogram':>10} {'dreams':>9} {'gain':>7}"]
    lines += [_line(c) for c in result.clients]
    gain = result.mean_codream - result.mean_independent
    lines.append(
        f"{'mean':<10} {'':<17}{'':<6}{result.mean_independent:>7.1f} % "
        f"{result.mean_balanced:>8.1f} % {result.mean_codream:>7.1f} % {gain_text(gain):>7}"
    )
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
    lines += [f"          {published.dreams}", f"figures   {published.result}"]
    return "\n".join(lines)


def _line(client: ClientResult) -> str:
    head = f"{client.name:<10} {client.architecture:<17}{client.runtime:<6}"
    if not client.alive or None in (client.independent, client.balanced, client.codream):
        return head + "killed on the way"
    alone, dreams = client.independent or 0.0, client.codream or 0.0
    return (
        f"{head}{alone:>7.1f} % {client.balanced or 0.0:>8.1f} % {dreams:>7.1f} % "
        f"{gain_text(dreams - alone):>7}"
    )


def _summary(result: DemoResult) -> str:
    kept = "confirmed by both sides" if result.secure_aggregation else "NOT CONFIRMED"
    return (
        f"{result.rounds} cycles, {result.aggregations} masked sums in {result.seconds:.0f} s; "
        f"{megabytes(result.bytes_up_per_client)} up and "
        f"{megabytes(result.bytes_down_per_client)} down for each device; "
        f"{result.dropped} dropped; secure aggregation {kept}."
    )


def _fill(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)
