"""One run of a federation of processes, some of which are killed and started again.

Rules:
- a kill waits until so many sums were merged, and then for a drawn moment within two rounds' time;
- meanwhile the run goes on for a few rounds at most: agents compute no further than the file `gate`
  says, so that a fast machine does not end the run before the kills that it is for;
- what ends by itself is started again, as a service manager does, and counted.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.chaos_parts import GATE, write_whole
from benchmarks.chaos_services import Part, Process, broker, database

from tests.services import free_port

PATIENCE_S = 300.0
"""Without any progress for so long, a run has come to a stop."""

AHEAD = 3
"""Sums that a run may go on for while a kill is due."""


class Stuck(Exception):
    """A run that makes no progress any more; the text says where its logs are."""


@dataclass
class Run:
    """One run of a federation.

    Attributes:
        home: its folder, with the keys.
        transport: grpc or mqtt.
        devices, rounds: how many.
        database: sqlite or postgresql.
        module: what the aggregator and the agents run.
        killed: how often each kind of process was killed, or ended by itself.
    """

    home: Path
    transport: str
    devices: int
    rounds: int
    database: str = "sqlite"
    module: str = "benchmarks.chaos_parts"
    killed: Counter[str] = field(default_factory=Counter)

    def run(self, kills: int, seed: int, pause_s: float) -> dict[str, object]:
        """Run to the end with so many kills; return what the aggregator says of the task.

        Each kill comes at a drawn moment within `pause_s` after the sum that it waits for.
        """
        with ExitStack() as stack:
            port, url = free_port(), f"sqlite:///{self.home / 'rounds.db'}"
            self.parts: list[Part] = []
            if self.transport == "mqtt":
                self.parts.append(stack.enter_context(broker(self.home, port)))
            if self.database == "postgresql":
                cluster, url = stack.enter_context(database())
                self.parts.append(cluster)
            numbers = [("aggregator", 0), *(("agent", number) for number in range(self.devices))]
            self.parts += [self._process(kind, number, port, url) for kind, number in numbers]
            for part in self.parts:
                stack.callback(part.kill)
            if kills:
                self._open_until(1 + AHEAD)
            for part in self.parts:
                part.start()
            self._disturb(kills, random.Random(seed), pause_s)
            self._wait_for((self.home / "result").exists)
        said: dict[str, object] = json.loads((self.home / "result").read_bytes())
        return said

    def _process(self, kind: str, number: int, port: int, url: str) -> Process:
        scheme = "grpcs" if self.transport == "grpc" else "mqtts"
        return Process(
            kind,
            (
                *(sys.executable, "-m", self.module, kind),
                *("--home", str(self.home), "--life", "LIFE", "--number", str(number)),
                *("--link", f"{scheme}://127.0.0.1:{port}", "--store", url),
                *("--devices", str(self.devices), "--rounds", str(self.rounds)),
            ),
            self.home / f"{kind}-{number}.log",
        )

    def _disturb(self, kills: int, dice: random.Random, pause_s: float) -> None:
        for number in range(kills):
            due = 1 + number * (self.rounds - 2) // kills
            self._open_until(due + AHEAD)
            self._wait_for(partial(self._has_merged, due))
            time.sleep(dice.uniform(0, pause_s))
            kind = dice.choice(sorted({part.name for part in self.parts}))
            part = dice.choice([part for part in self.parts if part.name == kind])
            part.kill()
            self.killed[kind] += 1
            time.sleep(dice.uniform(0, 0.2))
            part.start()
            sys.stderr.write(f"\r{self.transport}: {number + 1} of {kills} killed ")
            sys.stderr.flush()
        (self.home / GATE).unlink(missing_ok=True)

    def _open_until(self, sums: int) -> None:
        write_whole(self.home / GATE, str(sums).encode())

    def _has_merged(self, sums: int) -> bool:
        return self.merged() >= sums

    def merged(self) -> int:
        """How many sums were merged so far."""
        return len(self.sums())

    def sums(self) -> dict[tuple[str, int], set[str]]:
        """Return the hashes of the merged means, by step and cycle."""
        found: dict[tuple[str, int], set[str]] = {}
        path = self.home / "merged"
        for line in path.read_text().splitlines() if path.exists() else ():
            step, cycle, digest, _ = json.loads(line)
            found.setdefault((step, cycle), set()).add(digest)
        return found

    def captures(self) -> list[Path]:
        """Everything that was captured."""
        return [*self.home.glob("received-*"), *self.home.glob("device-*/sent-*")]

    def _wait_for(self, holds: Callable[[], bool]) -> None:
        before, since = -1, time.monotonic()
        while not holds():
            now = self.merged()
            if now != before:
                before, since = now, time.monotonic()
            if time.monotonic() - since > PATIENCE_S:
                self._tell_where()
                raise Stuck(f"no sum in {PATIENCE_S:.0f} s; logs are in {self.home}")
            self._raise_the_dead()
            time.sleep(0.05)

    def _tell_where(self) -> None:
        """Let the processes of this repository write into their logs what they wait for."""
        for part in self.parts:
            if isinstance(part, Process) and part.name in ("aggregator", "agent"):
                part.signal(signal.SIGUSR1)
        time.sleep(2)

    def _raise_the_dead(self) -> None:
        """Start again what ended by itself, as a service manager does; the log says why it did."""
        for part in self.parts:
            if part.ended and not (self.home / "result").exists():
                self.killed[f"{part.name} ended by itself"] += 1
                part.start()
