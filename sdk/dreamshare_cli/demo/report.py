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
from dataclasses import dataclass
from html import escape
from importlib import resources

from dreamshare_cli.demo.disclosure import disclose
from dreamshare_cli.demo.result import ClientResult, DemoResult


@dataclass(frozen=True, slots=True)
class Pictures:
    """PNG bytes of every variant that the report embeds."""

    accuracy_light: bytes
    accuracy_dark: bytes
    accuracy_light_narrow: bytes
    accuracy_dark_narrow: bytes
    dreams_light: bytes
    dreams_dark: bytes
    dreams_light_narrow: bytes
    dreams_dark_narrow: bytes


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
{_curves(pictures)}
{_devices(result)}
{_dreams(result, pictures)}
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


def compared(result: DemoResult) -> str:
    """Say what remains of the gain beside nets that use their label histogram, in a sentence.

    The nets that share dreams use theirs, so that this part of the gain is not the dreams'.
    """
    rest = gain_text(result.mean_codream - result.mean_balanced)
    return (
        "Against nets that train alone but make the most of their own label histogram, as those "
        f"that share dreams do, the difference is {rest} points."
    )


def _headline(result: DemoResult) -> str:
    gain = result.mean_codream - result.mean_independent
    devices = f"{len(result.survivors)} devices"
    if gain > 0:
        return f"{devices} are {gain:.1f} points better together than alone"
    return f"Sharing dreams did not help these {devices}: {gain_text(gain)} points"


def _head(result: DemoResult) -> str:
    kinds = len({c.architecture for c in result.clients})
    boxes = "".join(
        f'<div class="card{mark}"><dt>{label}</dt><dd>{value:.1f}<small> %</small></dd></div>'
        for label, value, mark in (
            ("alone", result.mean_independent, ""),
            ("alone, label histogram used", result.mean_balanced, ""),
            ("sharing dreams", result.mean_codream, " best"),
        )
    )
    lost = (
        "" if not result.dropped else f" {result.dropped} was killed on the way; the rest went on."
    )
    return f"""<p class="mark">Dreamshare</p>
<h1>{escape(_headline(result))}.</h1>
<p class="soft">{len(result.clients)} processes with {kinds} different architectures learnt to read
digits. Each kept its images and its net to itself; what they shared were dreams, made from sums
under masks.{lost} {compared(result)}</p>
<dl class="figures">{boxes}</dl>"""


def _curves(pictures: Pictures) -> str:
    image = _picture(
        (
            ("(max-width: 640px) and (prefers-color-scheme: dark)", pictures.accuracy_dark_narrow),
            ("(max-width: 640px)", pictures.accuracy_light_narrow),
            ("(prefers-color-scheme: dark)", pictures.accuracy_dark),
        ),
        pictures.accuracy_light,
        "Test accuracy over the cycles: the mean of the devices and each device, sharing dreams "
        "and alone",
    )
    return f"""<h2>Accuracy, cycle by cycle</h2>
<p class="soft">In each cycle the devices shape a batch of dreams together, label them together
and learn from them. Dashed: the same net with as many steps on its own digits alone. Dotted: the
same, when it makes the most of knowing how often each digit occurs in them.</p>
<figure class="card">{image}</figure>"""


def _devices(result: DemoResult) -> str:
    reached = [v for c in result.clients for v in (c.independent, c.balanced, c.codream)]
    floor = 10 * (min((v for v in reached if v is not None), default=0.0) // 10)
    rows = "".join(_device(c, min(floor, 90.0)) for c in result.clients)
    return f"""<h2>Each device</h2>
<ul class="devices card">{rows}</ul>
<p class="key"><span style="--dot:var(--alone)">alone</span><span
 style="--dot:var(--middle)">alone, label histogram used</span><span
 style="--dot:var(--accent)">sharing dreams</span>the lines go from {floor:.0f} to 100 %</p>"""


def _device(client: ClientResult, floor: float) -> str:
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
        ("codream", client.codream),
    ):
        if value is not None:
            dots += f'<u class="{name}" style="left:{place(value):.1f}%" title="{value:.1f} %"></u>'
    if client.independent is not None and client.codream is not None:
        left, right = sorted((place(client.independent), place(client.codream)))
        bar = f'<i style="left:{left:.1f}%;width:{right - left:.1f}%"></i>'
    return (
        f'<li class="{"" if client.alive else "lost"}">{who}<div class="track">{bar}{dots}</div>'
        f'<div class="move">{_move(client)}</div></li>'
    )


def _move(client: ClientResult) -> str:
    if not client.alive or client.codream is None or client.independent is None:
        last = "" if client.codream is None else f"<span>last seen {client.codream:.1f} %</span>"
        return f"<b>{'no result' if client.alive else 'killed'}</b>{last}"
    gain = gain_text(client.codream - client.independent)
    return f"<b>{gain}</b><span>{client.independent:.1f} \u2192 {client.codream:.1f} %</span>"


def _dreams(result: DemoResult, pictures: Pictures) -> str:
    image = _picture(
        (
            ("(max-width: 640px) and (prefers-color-scheme: dark)", pictures.dreams_dark_narrow),
            ("(max-width: 640px)", pictures.dreams_light_narrow),
            ("(prefers-color-scheme: dark)", pictures.dreams_dark),
        ),
        pictures.dreams_light,
        "Dreams: one column for each digit from 0 to 9, one row for each cycle, and their mean",
    )
    return f"""<h2>What they dreamt</h2>
<p class="soft">Noise, moved step by step until the nets together see a digit in it. This, with its
labels, is all the knowledge that went from device to device: no image of anybody's data, and a net
can learn from it even where a person sees little. The last row is the mean of all dreams of a
digit: what they have in common.</p>
<figure class="card">{image}</figure>"""


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
        ("CoDream cycles", str(result.rounds)),
        ("Masked sums", f"{result.aggregations} opened, {result.abandoned} given up"),
        ("Devices", f"{len(result.clients)} started, {result.dropped} lost"),
        ("Up, each device", megabytes(result.bytes_up_per_client)),
        ("Down, each device", megabytes(result.bytes_down_per_client)),
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


def _picture(sources: tuple[tuple[str, bytes], ...], default: bytes, alt: str) -> str:
    variants = "".join(
        f'<source media="{media}" srcset="{_data_uri(png)}">' for media, png in sources
    )
    return f'<picture>{variants}<img alt="{escape(alt)}" src="{_data_uri(default)}"></picture>'


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
