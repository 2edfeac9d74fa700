"""Reading what the devices wrote, while they write it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.demo.reports import DeviceReport, ReportReader
from dreamshare_cli.demo.result import Part


def write(path: Path, *lines: dict[str, object]) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "report.jsonl", tmp_path / "notes.jsonl"


def test_files_that_do_not_exist_yet_say_nothing(files: tuple[Path, Path]) -> None:
    assert ReportReader(*files).read() == DeviceReport()


def test_curves_grow_as_the_files_grow(files: tuple[Path, Path]) -> None:
    report, notes = files
    reader = ReportReader(*files)
    counts = {"rounds": 0, "bytes_up": 5, "bytes_down": 7}
    write(report, {"event": "started", "device": "ab" * 16, "accuracy": 0.1, **counts})
    write(
        notes,
        {"event": "equipped", "architecture": "VGG-like", "runtime": "onnx", "parameters": 9,
         "examples": 3, "tested": 4},
    )  # fmt: skip
    seen = reader.read()
    assert (seen.id, seen.architecture, seen.examples, seen.tested) == ("ab" * 16, "VGG-like", 3, 4)
    assert (seen.runtime, seen.parts) == ("onnx", {})

    task = {"task": "3c" * 16}
    write(report, {"event": "round", "rounds": 1, "bytes_up": 50, "bytes_down": 70, **task})
    write(report, {"event": "learnt", "step": "warm_up", "before": 0.1, "after": 0.5,
                   "rounds": 1, "bytes_up": 60, "bytes_down": 80, **task})  # fmt: skip
    write(notes, {"event": "alone", "kind": "independent", "cycle": 0, "accuracy": 0.25})
    write(notes, {"event": "alone", "kind": "balanced", "cycle": 0, "accuracy": 0.375})
    seen = reader.read()
    assert (seen.independent_curve, seen.balanced_curve) == ((25.0,), (37.5,))
    assert seen.now == Part((50.0,), 60, 80, 1)

    counts = {"rounds": 1, "bytes_up": 65, "bytes_down": 85}
    write(report, {"event": "task-over", "outcome": "done", **counts, **task})
    assert reader.read().now == Part((50.0,), 65, 85, 1, "done")


def test_each_task_has_what_was_counted_since_the_one_before(files: tuple[Path, Path]) -> None:
    report, _ = files
    counted = [("a", 0, 10), ("a", 2, 100), ("", 2, 105), ("b", 2, 110), ("b", 5, 400)]
    for task, rounds, up in counted:
        line = {"event": "round", "rounds": rounds, "bytes_up": up, "bytes_down": 2 * up}
        write(report, {**line, "task": task} if task else line)
    seen = ReportReader(*files).read()
    assert seen.parts == {"a": Part((), 100, 200, 2), "b": Part((), 295, 590, 3)}
    assert (seen.bytes_up, seen.bytes_down) == (400, 800)


def test_an_unfinished_line_waits(files: tuple[Path, Path]) -> None:
    report, _ = files
    reader = ReportReader(*files)
    report.write_text('{"event": "started", "device": "cd", "rounds": 0, "by')
    assert reader.read().id == ""
    with report.open("a") as file:
        file.write('tes_up": 1, "bytes_down": 2}\n')
    assert reader.read().id == "cd"


@pytest.mark.parametrize(
    "line",
    ["not json\n", '{"event": "learnt", "task": "3c", "after": null}\n', '{"rounds": "many"}\n'],
)
def test_a_file_that_is_no_report_is_refused(files: tuple[Path, Path], line: str) -> None:
    files[0].write_text(line)
    with pytest.raises(ConfigError):
        ReportReader(*files).read()
