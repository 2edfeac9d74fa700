"""The live table and the plain lines that replace it."""

from __future__ import annotations

import dataclasses
import io

from rich.console import Console

from dreamshare_cli.demo.live import DeviceState, DeviceView, LiveTable, PlainLines, Snapshot


def snapshot() -> Snapshot:
    return Snapshot(
        elapsed=12.3,
        algorithm="codream",
        phase="dreaming together",
        round=2,
        rounds=5,
        sums=43,
        part=0.3,
        devices=(
            DeviceView(
                "device-1",
                "VGG-like",
                "onnx",
                DeviceState.WORKING,
                1_234_567,
                2_345_678,
                60.0,
                71.5,
            ),
            DeviceView(
                "device-2", "WideResNet-like", "torch", DeviceState.KILLED, 5_000, 0, 70.0, 68.0
            ),
            DeviceView("device-3", "MobileNet-like", "", DeviceState.STARTING),
        ),
    )


def console() -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=80, force_terminal=False), stream


def test_the_table_tells_what_was_asked_for_in_80_columns() -> None:
    out, stream = console()
    with LiveTable(out) as table:
        table.show(snapshot())
    text = stream.getvalue()
    for piece in (
        "codream", "cycle 2 of 5", "43 masked sums", "2 of 3 alive", "12 s", "dreaming together",
        "device-1", "VGG-like", "onnx", "torch", "1.2 MB", "2.3 MB", "60.0 %", "71.5 %",
        "+11.5", "-2.0", "killed",
    ):  # fmt: skip
        assert piece in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_what_is_said_is_not_read_as_markup() -> None:
    out, stream = console()
    with LiveTable(out) as table:
        table.say("log [bold]x[/nothing]")
    assert "log [bold]x[/nothing]" in stream.getvalue()


def test_plain_lines_come_when_something_changed() -> None:
    stream = io.StringIO()
    with PlainLines(stream) as lines:
        first = snapshot()
        lines.show(first)
        lines.show(dataclasses.replace(first, elapsed=12.6))  # nothing new
        lines.show(dataclasses.replace(first, elapsed=12.9, round=3))
        lines.show(dataclasses.replace(first, elapsed=13.0, round=3))
        lines.show(dataclasses.replace(first, elapsed=18.0, round=3))  # 5 s without a word
    written = stream.getvalue().splitlines()
    assert [line[:9] for line in written] == ["[ 12.3 s]", "[ 12.9 s]", "[ 18.0 s]"]
    assert written[0] == (
        "[ 12.3 s] codream: dreaming together, cycle 2/5, 43 sums, 2/3 devices, "
        "mean accuracy 71.5 %"
    )
