"""What a running program takes of a machine: memory, processor time, threads; read from /proc.

The standard library alone: environments of peers import it, too.

Rules:
- a program is a process with everything that it started and that still runs;
- MB are 10^6 bytes;
- pages that its processes share are counted once: the process with the most resident memory counts
  whole, of the others what is theirs alone (anonymous memory). That is never too much.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

PROC = Path("/proc")
LOOK_S = 0.02
KB = 1024 / 1e6
"""MB in what /proc calls a kB."""


@dataclass(frozen=True)
class Idle:
    """A program that waits.

    Attributes:
        idle_mb: resident memory.
        idle_private_mb: of it, what no file backs and no other process has: what cannot be dropped.
        idle_pss_mb: resident memory, pages shared with any process of the machine in equal parts.
        idle_cpu_percent: processor time over the window; 100 is one core.
        busiest_thread_percent: the same of the thread that took most.
        wakeups_per_s: how often its threads gave up the processor of their own.
        threads, processes: how many.
    """

    idle_mb: float
    idle_private_mb: float
    idle_pss_mb: float
    idle_cpu_percent: float
    busiest_thread_percent: float
    wakeups_per_s: float
    threads: int
    processes: int


def idle(root: int, window_s: float) -> dict[str, float]:
    """Watch a program that has nothing to do for so many seconds; memory is that at the end."""
    before, began = _threads(root), time.perf_counter()
    time.sleep(window_s)
    after, passed_s = _threads(root), time.perf_counter() - began
    spent = {tid: cpu - before.get(tid, (0.0, 0))[0] for tid, (cpu, _) in after.items()}
    woken = sum(count - before.get(tid, (0.0, 0))[1] for tid, (_, count) in after.items())
    pids = processes(root)
    found = Idle(
        idle_mb=resident_mb(root),
        idle_private_mb=sum(_status(pid)["RssAnon"] for pid in pids) * KB,
        idle_pss_mb=sum(map(_proportional_kb, pids)) * KB,
        idle_cpu_percent=100 * sum(spent.values()) / passed_s,
        busiest_thread_percent=100 * max(spent.values(), default=0.0) / passed_s,
        wakeups_per_s=woken / passed_s,
        threads=len(after),
        processes=len(pids),
    )
    return {name: round(value, 3) for name, value in asdict(found).items()}


def resident_mb(root: int) -> float:
    """Return the memory of a program now."""
    told = [status for pid in processes(root) if (status := _status(pid))]
    if not told:
        return 0.0
    largest = max(told, key=lambda status: status["VmRSS"])
    others = (status["RssAnon"] for status in told if status is not largest)
    return (largest["VmRSS"] + sum(others)) * KB


def processes(root: int) -> list[int]:
    """Return the process and all that it started, as long as they run."""
    parents: dict[int, int] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                told = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it ended meanwhile
            state, parent = told.rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(folder.name)] = int(parent)
    found = [root] if root in parents else []
    for pid in found:  # grows as it is read
        found += [child for child, parent in parents.items() if parent == pid]
    return found


class Peak:
    """The most memory that a program has while the block runs.

    One process alone has the kernel's own mark; of several together the most at one moment is told,
    looked at every 20 ms, so a short peak of theirs may be missed.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._seen = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def mb(self) -> float:
        """So far."""
        return round(self._seen, 3)

    def _watch(self) -> None:
        while True:
            marks = [_status(pid).get("VmHWM", 0) for pid in processes(self._root)]
            self._seen = max(self._seen, resident_mb(self._root), KB * max(marks, default=0))
            if self._over.wait(LOOK_S):
                return


def _threads(root: int) -> dict[int, tuple[float, int]]:
    """Return processor seconds and voluntary switches of every thread."""
    found = {}
    for pid in processes(root):
        for task in (PROC / str(pid) / "task").iterdir():
            cpu_ns = int((task / "schedstat").read_text(encoding="ascii").split()[0])
            switches = _fields(task / "status")["voluntary_ctxt_switches"]
            found[int(task.name)] = (cpu_ns / 1e9, switches)
    return found


def _status(pid: int) -> dict[str, int]:
    """Return the numbers of /proc/PID/status; empty where it has ended."""
    try:
        found = _fields(PROC / str(pid) / "status")
    except OSError:
        return {}
    return found if "VmRSS" in found else {}


def _proportional_kb(pid: int) -> int:
    return _fields(PROC / str(pid) / "smaps_rollup")["Pss"]


def _fields(path: Path) -> dict[str, int]:
    pairs = (line.split()[:2] for line in path.read_text(encoding="utf-8").splitlines())
    return {p[0].rstrip(":"): int(p[1]) for p in pairs if len(p) == 2 and p[1].isdigit()}
