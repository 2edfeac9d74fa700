"""Where a process's processor time goes, by parts of this project.

    parts = CpuParts()
    parts.start()                               # when everything is imported
    ...
    parts.stop()
    between(parts.record(), began, ended)       # {"masks": 0.012, ...} seconds

Rules:
- every function of the modules in `PLACES` is wrapped, and notes the processor time of its thread
  less that of the wrapped functions that it called itself; a coroutine does so at each step;
- what Python's threads do beside these is the event loop's (`LOOP`), asyncio and the Python side of
  gRPC; what they do not use is that of gRPC's own threads (`NATIVE`): TLS, HTTP/2, sockets;
- wrapping costs about a microsecond a call, which the parts with many small calls pay.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator, Mapping
from types import FunctionType, ModuleType
from typing import TypeVar

T = TypeVar("T")

EVERY_S = 0.02
LOOP = "event loops"
DATABASE = "_connection_worker_thread"
"""In the name of the thread in which aiosqlite works."""
NATIVE = "gRPC's threads: TLS, HTTP/2, sockets"

PLACES: tuple[tuple[str, str], ...] = (
    ("dreamshare_crypto.prg", "masks"),
    ("dreamshare_crypto.lanes", "masks"),
    ("dreamshare_crypto.ring", "masks"),
    ("dreamshare_crypto.secagg.masking", "masks"),
    ("dreamshare_crypto.encoding", "encoding"),
    ("dreamshare_crypto.decoding", "encoding"),
    ("dreamshare_crypto", "keys, shares, signatures, checks"),
    ("dreamshare.wire", "messages"),
    ("dreamshare.payloads", "messages"),
    ("dreamshare.transport", "links"),
    ("dreamshare_edge.store", "storage"),
    ("dreamshare_aggregator.store", "storage"),
    ("dreamshare_aggregator.database", "storage"),
    ("dreamshare_aggregator.journal", "storage"),
    ("dreamshare.learning", "programs"),
    ("dreamshare.algorithms", "algorithm"),
    ("dreamshare.binding", "algorithm"),
    ("dreamshare.protocol", "machines"),
    ("dreamshare.driver", "machines"),
)
"""Module, or package -> part; the first that fits a module."""

Record = Mapping[str, list[tuple[int, float]]]
"""For each part its spending: monotonic nanoseconds, seconds."""


class CpuParts:
    """See the module's docstring; one in a process."""

    def __init__(self) -> None:
        self._noted: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._inner = threading.local()
        self._clocks: dict[int, int] = {}
        self._process_ns = time.process_time_ns()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin."""
        for name, part in PLACES:
            for module in _modules(name):
                if not getattr(module, "__wrapped_by_parts__", False):
                    module.__wrapped_by_parts__ = True  # type: ignore[attr-defined]
                    self._wrap(module, part)
        self._look()
        self._thread.start()

    def stop(self) -> None:
        """Note no more totals."""
        self._over.set()
        self._thread.join()

    def record(self) -> Record:
        """Return everything that was noted."""
        return {
            part: [(moment, spent / 1e9) for moment, spent in noted]
            for part, noted in self._noted.items()
        }

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self._look()
        self._look()

    def _look(self) -> None:
        """Note what all threads have used, and what of it Python's threads have not."""
        now, python_ns = time.monotonic_ns(), 0
        for thread in threading.enumerate():
            if thread.ident is None:
                continue
            used = time.clock_gettime_ns(time.pthread_getcpuclockid(thread.ident))
            spent = used - self._clocks.get(thread.ident, 0)
            self._clocks[thread.ident] = used
            python_ns += spent
            if DATABASE in thread.name:
                self._noted["storage"].append((now, spent))
        process_ns = time.process_time_ns()
        spent, self._process_ns = process_ns - self._process_ns, process_ns
        self._noted[NATIVE].append((now, spent - python_ns))
        self._noted[LOOP].append((now, python_ns))  # less what functions noted: see `between`

    def _wrap(self, module: ModuleType, part: str) -> None:
        for name, found in list(vars(module).items()):
            if isinstance(found, FunctionType) and found.__module__ == module.__name__:
                if _plain(found):
                    wrapped = self._timed(found, part)
                    for path, other in list(sys.modules.items()):
                        ours = path.startswith(("dreamshare", "benchmarks", "__main__"))
                        if ours and vars(other).get(name) is found:
                            setattr(other, name, wrapped)
            elif isinstance(found, type) and found.__module__ == module.__name__:
                for key, method in list(vars(found).items()):
                    if isinstance(method, FunctionType) and _plain(method):
                        setattr(found, key, self._timed(method, part))

    def _timed(self, function: FunctionType, part: str) -> Callable[..., object]:
        noted = self._noted[part]

        @functools.wraps(function)
        def timed(*given: object, **named: object) -> object:
            return self._measured(lambda: function(*given, **named), noted)

        @functools.wraps(function)
        async def stepped(*given: object, **named: object) -> object:
            return await _Steps(function(*given, **named), lambda step: self._measured(step, noted))

        return stepped if inspect.iscoroutinefunction(function) else timed

    def _measured(self, work: Callable[[], T], noted: list[tuple[int, int]]) -> T:
        inner = self._inner
        outer_ns = getattr(inner, "ns", 0)
        inner.ns = 0
        began = time.thread_time_ns()
        try:
            return work()
        finally:
            all_ns = time.thread_time_ns() - began
            noted.append((time.monotonic_ns(), all_ns - inner.ns))
            inner.ns = outer_ns + all_ns


class _Steps:
    """Awaits a coroutine and has each of its steps measured."""

    def __init__(
        self,
        work: Coroutine[object, object, object],
        measured: Callable[[Callable[[], object]], object],
    ) -> None:
        self._work = work
        self._measured = measured

    def __await__(self) -> Generator[object, object, object]:
        step: Callable[[], object] = functools.partial(self._work.send, None)
        while True:
            try:
                waits_for = self._measured(step)
            except StopIteration as end:
                return end.value
            try:
                step = functools.partial(self._work.send, (yield waits_for))
            except BaseException as error:  # noqa: BLE001  a cancellation goes where it was meant to
                step = functools.partial(self._work.throw, error)


def between(record: Record, began_ns: int, ended_ns: int) -> dict[str, float]:
    """Return the seconds of each part between two moments."""
    found = {
        part: sum(spent for moment, spent in noted if began_ns < moment <= ended_ns)
        for part, noted in record.items()
    }
    functions = sum(spent for part, spent in found.items() if part not in (LOOP, NATIVE))
    return {**found, LOOP: found[LOOP] - functions}


def _modules(name: str) -> list[ModuleType]:
    top = importlib.import_module(name)
    inside = pkgutil.walk_packages(getattr(top, "__path__", ()), f"{name}.")
    names = [found.name for found in inside if found.name in sys.modules]
    return [top, *(sys.modules[each] for each in names)]


def _plain(function: FunctionType) -> bool:
    lazy = inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)
    return not lazy and not function.__name__.startswith("__")
