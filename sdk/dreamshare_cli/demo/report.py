"""The demo's report: one HTML file that needs no host, no script and no font.

Rules:
- pictures are data URIs, styles are inline, the content security policy forbids the rest, so the
  file can be mailed and opened years later;
- light and dark follow the reader's screen, the layout follows its width;
- everything that came from a run is escaped.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from dreamshare_cli.demo.disclosure import disclose
from dreamshare_cli.demo.result import ClientResult, DemoResult, RunResult
from dreamshare_cli.demo.wording import WORDINGS


@dataclass(frozen=True, slots=True)
class Variants:
    """PNG bytes of one picture for light and dark screens, and for narrow ones."""

    light: bytes
    dark: bytes
    light_narrow: bytes
    dark_narrow: bytes


@dataclass(frozen=True, slots=True)
class Pictures:
    """Everything that the report embeds; `galleries` by the algorithm's name."""

    accuracy: Variants
    galleries: Mapping[str, Variants]


def report_html(result: DemoResult, pictures: Pictures, command: str) -> str:
    """Return the report. `command` is what to type to see the same again."""
    style = resources.files("dreamshare_cli.demo").joinpath("report.css").read_text("utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(_headline(result))} - Dreamshare</title>
<style>
{style}</style>
</head>
<body>
<main>
{_head(result)}
{_curves(pictures.accuracy)}
{_devices(result)}
{_runs(result)}
{_galleries(result, pictures)}
{_sight(result)}
{_facts(result, command)}
<footer>Handwritten digits: Optical Recognition of Handwritten Digits, UCI, as carried by
scikit-learn. Means are over the devices that were alive at the end, on {result.test_examples} test
digits that no device trained on and no choice was made on.</footer>
</main>
</body>
</html>
"""


def gain_text(points: float) -> str:
    """Return a signed number of points, e.g. "+10.0"."""
    return f"{points:+.1f}".replace("-", "\N{MINUS SIGN}")


def megabytes(count: int) -> str:
    """Return bytes as a short decimal text, e.g. "2.1 MB"."""
    if count >= 1_000_000:
        return f"{count / 1e6:.1f} MB"
    return f"{count / 1e3:.0f} kB" if count >= 1000 else f"{count} B"


def rounds_text(run: RunResult) -> str:
    """Return how many rounds a run had, e.g. "5 cycles"."""
    return f"{run.rounds} {WORDINGS[run.name].rounds[run.rounds == 1]}"


def compared(result: DemoResult) -> str:
    """Say what remains of the gain beside nets that use their label histogram, in a sentence.

    The nets that share use theirs, so that this part of the gain is not the sharing's.
    """
    balanced = result.mean_balanced
    rest = " and ".join(
        f"{gain_text(result.mean(run.name) - balanced)} points {WORDINGS[run.name].sharing}"
        for run in result.runs
    )
    return (
        "Against nets that train alone but make the most of their own label histogram, as those "
        f"that share do, the difference is {rest}."
    )


def _headline(result: DemoResult) -> str:
    best = result.best
    gain = result.mean(best.name) - result.mean_independent
    devices, sharing = f"{len(result.survivors)} devices", WORDINGS[best.name].sharing
    if gain > 0:
        return f"{devices} are {gain:.1f} points better {sharing} than alone"
    return f"{sharing.capitalize()} did not help these {devices}: {gain_text(gain)} points"


def _head(result: DemoResult) -> str:
    kinds = len({c.architecture for c in result.clients})
    figures = [
        ("alone", result.mean_independent, ""),
        ("alone, label histogram used", result.mean_balanced, ""),
    ]
    figures += [
        (WORDINGS[run.name].sharing, result.mean(run.name), " best" * (run is result.best))
        for run in result.runs
    ]
    boxes = "".join(
        f'<div class="card{mark}"><dt>{label}</dt><dd>{value:.1f}<small> %</small></dd></div>'
        for label, value, mark in figures
    )
    lost = (
        "" if not result.dropped else f" {result.dropped} was killed on the way; the rest went on."
    )
    return f"""<p class="mark">Dreamshare</p>
<h1>{escape(_headline(result))}.</h1>
<p class="soft">{len(result.clients)} processes with {kinds} different architectures learnt to read
digits. Each kept its images and its net to itself; what they shared was made from sums under
masks.{lost} {compared(result)}</p>
<dl class="figures">{boxes}</dl>"""


def _curves(pictures: Variants) -> str:
    image = _picture(
        pictures,
        "Test accuracy over the local steps: the mean of the devices and each device, sharing and "
        "alone",
    )
    return f"""<h2>Accuracy, step by step</h2>
<p class="soft">A dot is what a device reached after it had learnt from what all shared. Every
algorithm began with the same weights and gave a device the same number of steps. Dashed: the same
net with as many steps on its own digits alone. Dotted: the same, when it makes the most of knowing
how often each digit occurs in them.</p>
<figure class="card">{image}</figure>"""


def _devices(result: DemoResult) -> str:
    names = [run.name for run in result.runs]
    reached = [
        v for c in result.clients for v in (c.independent, c.balanced, *map(c.reached, names))
    ]
    floor = 10 * (min((v for v in reached if v is not None), default=0.0) // 10)
    rows = "".join(_device(c, min(floor, 90.0), names) for c in result.clients)
    keys = [("alone", "alone"), ("middle", "alone, label histogram used")]
    keys += [(WORDINGS[name].colour, WORDINGS[name].sharing) for name in names]
    told = "".join(f'<span style="--dot:var(--{colour})">{text}</span>' for colour, text in keys)
    return f"""<h2>Each device</h2>
<ul class="devices card">{rows}</ul>
<p class="key">{told}the lines go from {floor:.0f} to 100 %</p>"""


def _device(client: ClientResult, floor: float, names: Sequence[str]) -> str:
    def place(percent: float) -> float:
        return 100 * (percent - floor) / (100 - floor)

    who = (
        f'<div class="who"><b>{escape(client.name)}</b><span>{escape(client.architecture)}, '
        f"{client.parameters:,} parameters<br>{client.examples} digits of its own, "
        f"{escape(client.runtime)}</span></div>"
    )
    dots, bar = "", ""
    for name, value in (
        ("alone", client.independent),
        ("middle", client.balanced),
        *((WORDINGS[name].colour, client.reached(name)) for name in names),
    ):
        if value is not None:
            dots += f'<u class="{name}" style="left:{place(value):.1f}%" title="{value:.1f} %"></u>'
    if client.independent is not None and client.best is not None:
        left, right = sorted((place(client.independent), place(client.best)))
        bar = f'<i style="left:{left:.1f}%;width:{right - left:.1f}%"></i>'
    return (
        f'<li class="{"" if client.alive else "lost"}">{who}<div class="track">{bar}{dots}</div>'
        f'<div class="move">{_move(client)}</div></li>'
    )


def _move(client: ClientResult) -> str:
    best = client.best
    if not client.alive or best is None or client.independent is None:
        last = "" if best is None else f"<span>last seen {best:.1f} %</span>"
        return f"<b>{'no result' if client.alive else 'killed'}</b>{last}"
    gain = gain_text(best - client.independent)
    return f"<b>{gain}</b><span>{client.independent:.1f} \u2192 {best:.1f} %</span>"


def _runs(result: DemoResult) -> str:
    """Return accuracy, rounds and bytes of each run, side by side."""
    columns = [("alone", result.mean_independent), ("histogram", result.mean_balanced)]
    columns += [(WORDINGS[run.name].column, result.mean(run.name)) for run in result.runs]
    heads = "".join(f"<th>{name}</th>" for name, _ in columns)
    rows = [("Test accuracy", [f"{mean:.1f} %" for _, mean in columns])]
    for title, tell in (
        ("Rounds", rounds_text),
        ("Masked sums", lambda run: f"{run.aggregations} opened, {run.abandoned} given up"),
        ("Up, each device", lambda run: megabytes(result.bytes_up(run.name))),
        ("Down, each device", lambda run: megabytes(result.bytes_down(run.name))),
        ("Time", lambda run: f"{run.seconds:.0f} s"),
    ):
        rows.append((title, ["", "", *map(tell, result.runs)]))
    body = "".join(
        f"<tr><th>{title}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        for title, cells in rows
    )
    return f"""<h2>What it cost</h2>
<table class="runs"><tr><th></th>{heads}</tr>{body}</table>"""


def _galleries(result: DemoResult, pictures: Pictures) -> str:
    return "\n".join(
        f"""<h2>{WORDINGS[run.name].heading}</h2>
<p class="soft">{
            WORDINGS[run.name].story
        } This, with its labels, is all the knowledge that went from
device to device: no image of anybody's data.</p>
<figure class="card">{
            _picture(
                pictures.galleries[run.name],
                f"{WORDINGS[run.name].heading}: one column for each digit from 0 to 9, and their "
                "mean",
            )
        }</figure>"""
        for run in result.runs
    )


def _sight(result: DemoResult) -> str:
    told = disclose(result)
    return f"""<h2>What the aggregator knows now</h2>
<div class="sight">
<div class="card"><h3>It could see</h3>{_list(told.seen)}</div>
<div class="card"><h3>It could not see</h3>{_list(told.unseen)}</div>
</div>
{"".join(f'<p class="limits">{escape(text)}</p>' for text in told.limits)}"""


def _facts(result: DemoResult, command: str) -> str:
    secure = (
        '<span class="yes">yes</span>, every sum came out of a closed session; the devices\' own '
        "counts agree"
        if result.secure_aggregation
        else '<span class="no">not confirmed</span>: the two sides\' accounts do not agree'
    )
    rows = (
        ("Secure aggregation", secure),
        ("Devices compute with", _runtimes(result)),
        ("Devices", f"{len(result.clients)} started, {result.dropped} lost"),
        ("Time", f"{result.seconds:.0f} s, everything on one machine"),
        ("The same again", f"<code>{escape(command)}</code>"),
    )
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return f"<h2>The run</h2>\n<table>{body}</table>"


def _runtimes(result: DemoResult) -> str:
    names = {"torch": "PyTorch", "onnx": "onnxruntime, no PyTorch"}
    counted = Counter(client.runtime for client in result.survivors)
    if len(counted) == 1:
        return names.get(result.runtime, escape(result.runtime))
    told = (f"{count} with {names.get(n, escape(n))}" for n, count in sorted(counted.items()))
    return "; ".join(told)


def _list(sentences: tuple[str, ...]) -> str:
    return "<ul>" + "".join(f"<li>{escape(s)}</li>" for s in sentences) + "</ul>"


def _picture(variants: Variants, alt: str) -> str:
    sources = "".join(
        f'<source media="{media}" srcset="{_data_uri(png)}">'
        for media, png in (
            ("(max-width: 640px) and (prefers-color-scheme: dark)", variants.dark_narrow),
            ("(max-width: 640px)", variants.light_narrow),
            ("(prefers-color-scheme: dark)", variants.dark),
        )
    )
    src = _data_uri(variants.light)
    return f'<picture>{sources}<img alt="{escape(alt)}" src="{src}"></picture>'


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
