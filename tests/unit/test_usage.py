"""What benchmarks read of a running program in /proc."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from benchmarks.peers.usage import Peak, idle, processes, resident_mb

WAITING = "import sys, threading; threading.Thread(target=sys.stdin.read).start()"
PARENT = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'input()']);"
    "print(flush=True); child.wait()"
)


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", request.param], **pipes) as process:
        yield process
        process.communicate(b"\n")


@pytest.mark.parametrize("program", [WAITING + "; print(flush=True)"], indirect=True)
def test_a_program_that_waits_takes_memory_and_no_processor(
    program: subprocess.Popen[bytes],
) -> None:
    assert program.stdout is not None
    program.stdout.readline()
    found = idle(program.pid, 0.2)
    assert found["processes"] == 1
    assert found["threads"] == 2
    assert 0 < found["idle_private_mb"] < found["idle_mb"] < 100
    assert found["idle_cpu_percent"] < 50


@pytest.mark.parametrize("program", [PARENT], indirect=True)
def test_what_a_program_started_counts_and_shared_pages_once(
    program: subprocess.Popen[bytes],
) -> None:
    assert program.stdout is not None
    program.stdout.readline()
    pids = processes(program.pid)
    assert len(pids) == 2
    alone = [resident_mb(pid) for pid in pids[1:]]
    with Peak(program.pid) as peak:
        together = resident_mb(program.pid)
    assert max(alone) < together
    assert peak.mb >= together * 0.9


def test_a_process_that_is_gone_takes_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert processes(process.pid) == []
    assert resident_mb(process.pid) == 0.0
