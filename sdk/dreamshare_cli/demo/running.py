"""Runs a demo in this process's event loop: display, signals, files, closing words."""

from __future__ import annotations

import asyncio
import sys

from rich.console import Console

from dreamshare.clock import SystemClock
from dreamshare_cli.demo.course import Course, DemoFailed
from dreamshare_cli.demo.live import Display, LiveTable, PlainLines
from dreamshare_cli.demo.options import DemoOptions
from dreamshare_cli.demo.processes import ChildDied
from dreamshare_cli.exits import Exit
from dreamshare_cli.loops import until_stopped
from dreamshare_crypto.entropy import SystemEntropy


def run_demo(options: DemoOptions, *, as_json: bool, began: float) -> int:
    """Run a demo to its end and print what came of it; return the exit code."""
    display: Display
    display = LiveTable(Console(stderr=True)) if sys.stderr.isatty() else PlainLines(sys.stderr)
    course = Course(options, display, SystemClock(), SystemEntropy(), began)
    try:
        with display:
            finished = asyncio.run(until_stopped(course.run()))
    except (ChildDied, DemoFailed) as error:
        print(f"dreamshare: {error}", file=sys.stderr)
        return Exit.FAILED
    if finished is None:
        told = f"stopped; {course.so_far()}; what there is lies in {options.out}"
        print(told, file=sys.stderr)
        return Exit.INTERRUPTED

    from dreamshare_cli.demo.ending import ending
    from dreamshare_cli.demo.figures import result_json
    from dreamshare_cli.demo.publish import publish

    published = publish(options.out, finished.result, finished.galleries, _command(options))
    print(ending(finished.result, published), file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(result_json(finished.result), flush=True)
    return Exit.OK


def _command(options: DemoOptions) -> str:
    parts = [f"dreamshare demo --devices {options.devices} --seed {options.seed}"]
    parts.append(f"--cycles {options.cycles} --runtime {options.runtime}")
    parts.append(f"--algorithm {options.algorithm}")
    if options.drop:
        parts.append("--drop")
    return " ".join(parts)
