"""SIGKILL at random instants of aggregator, agents and broker: what is lost or said twice.

    python -m benchmarks.chaos --kills 200 --seed 1 --json

The same federation runs twice per transport, with the same device keys: once undisturbed, once with
its processes killed. Both must end in the same state, to the bit; what every device sent and what
the aggregator received is captured, packet by packet, and searched (`chaos_audit`).

Rules:
- processes, sockets, disks and signals are real; deadlines are above any restart, so that every
  device answers every round;
- kills are spread over the rounds and fall at random instants within them; which process is drawn;
- a violation is counted, never asserted away: any gives exit code 1.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.chaos_audit import audit

from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity
from tests.services import find, free_port, tethered

TRANSPORTS = ("grpc", "mqtt")
PATIENCE_S = 300.0
"""Without any progress for so long, a run has come to a stop."""

LONGEST_PAUSE_S = 0.8
"""Kills come at random within this time after the progress that they wait for."""


class Stuck(Exception):
    """A run that makes no progress any more; the text says where its logs are."""


@dataclass
class Part:
    """One process that can be killed and started again."""

    name: str
    command: tuple[str, ...]
    log: Path
    life: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start its next life."""
        command = [word.replace("LIFE", str(self.life)) for word in self.command]
        self.life += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(tethered(command), stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL, at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class Run:
    """One run of a federation."""

    home: Path
    transport: str
    devices: int
    rounds: int
    killed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._port = free_port()
        self.parts = [self._part("aggregator", 0)]
        self.parts += [self._part("agent", number) for number in range(self.devices)]

    def _part(self, kind: str, number: int) -> Part:
        scheme = "grpcs" if self.transport == "grpc" else "mqtts"
        return Part(
            kind,
            (
                *(sys.executable, "-m", "benchmarks.chaos_parts", kind),
                *("--home", str(self.home), "--life", "LIFE", "--number", str(number)),
                *("--link", f"{scheme}://127.0.0.1:{self._port}"),
                *("--devices", str(self.devices), "--rounds", str(self.rounds)),
            ),
            self.home / f"{kind}-{number}.log",
        )

    def run(self, kills: int, seed: int) -> dict[str, object]:
        """Run to the end with so many kills; return what the aggregator says of the task."""
        broker = self._broker() if self.transport == "mqtt" else None
        if broker is not None:
            self.parts.append(broker)
            broker.start()
        try:
            for part in self.parts:
                if part is not broker:
                    part.start()
            self._disturb(kills, random.Random(seed))
            self._wait_for((self.home / "result").exists)
        finally:
            for part in self.parts:
                part.kill()
        said: dict[str, object] = json.loads((self.home / "result").read_bytes())
        return said

    def _disturb(self, kills: int, dice: random.Random) -> None:
        for number in range(kills):
            due = 1 + number * (self.rounds - 2) // max(1, kills)
            self._wait_for(partial(self._has_merged, due))
            time.sleep(dice.uniform(0, LONGEST_PAUSE_S))
            kind = dice.choice(sorted({part.name for part in self.parts}))
            part = dice.choice([part for part in self.parts if part.name == kind])
            if (self.home / "result").exists():
                return
            part.kill()
            self.killed[kind] += 1
            time.sleep(dice.uniform(0, 0.2))
            part.start()
            sys.stderr.write(f"\r{self.transport}: {number + 1} of {kills} killed ")
            sys.stderr.flush()

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

    def _wait_for(self, holds: Callable[[], bool]) -> None:
        before, since = -1, time.monotonic()
        while not holds():
            now = self.merged()
            if now != before:
                before, since = now, time.monotonic()
            if time.monotonic() - since > PATIENCE_S:
                raise Stuck(f"no sum in {PATIENCE_S:.0f} s; logs are in {self.home}")
            self._raise_the_dead()
            time.sleep(0.05)

    def _raise_the_dead(self) -> None:
        """Start again what ended by itself, as a service manager does; the log says why it did."""
        for part in self.parts:
            ended = part.process is not None and part.process.poll() is not None
            if ended and not (self.home / "result").exists():
                self.killed[f"{part.name} ended by itself"] += 1
                part.start()

    def _broker(self) -> Part:
        from benchmarks.roads import lay_out

        from tests.services import tethered

        account = "mosquitto"
        place = Path(tempfile.mkdtemp(prefix="dreamshare-mosquitto-"))
        federation = FederationFolder(self.home / "federation")
        lay_out(place, self._port, Identity.load(self.home / "aggregator.key"), federation)
        command = tethered(["mosquitto", "-c", place / "mosquitto.conf"], account)
        return Part("broker", tuple(str(word) for word in command), self.home / "broker.log")

    def captures(self) -> list[Path]:
        """Everything that was captured."""
        return [*self.home.glob("received-*"), *self.home.glob("device-*/sent-*")]


def make_federation(home: Path, devices: int) -> None:
    """Write the keys that both runs have."""
    folder = FederationFolder(home / "federation")
    folder.create("grpcs://127.0.0.1:7443", SystemEntropy(), time.time())
    shutil.copy(folder.aggregator, home / "aggregator.key")
    for number in range(devices):
        folder.issue(Role.DEVICE, f"device-{number}", home / f"device-{number}" / "device.key")


def compare(transport: str, devices: int, kills: int, seed: int, home: Path) -> dict[str, object]:
    """Run twice over one transport and say what the kills changed: nothing, it is hoped."""
    rounds = max(4, kills)
    keys = home / "keys"
    make_federation(keys, devices)
    runs: list[Run] = []
    results: list[dict[str, object]] = []
    began = time.monotonic()
    for name, count in (("undisturbed", 0), ("killed", kills)):
        place = home / name
        shutil.copytree(keys, place)
        run = Run(place, transport, devices, rounds)
        results.append(run.run(count, seed))
        runs.append(run)
    quiet, killed = runs
    expected, found = quiet.sums(), killed.sums()
    seen = audit(killed.captures(), Identity.load(keys / "aggregator.key"))
    return {
        "kills": sum(n for kind, n in killed.killed.items() if "itself" not in kind),
        "killed": dict(sorted(killed.killed.items())),
        "rounds": len(expected),
        "lost_rounds": len(expected.keys() - found.keys()),
        "wrong_sums": sum(expected.get(place) != digests for place, digests in found.items()),
        "double_answers": seen.double_answers,
        "reused_masks": seen.reused_masks,
        "abandoned": results[1]["abandoned"],
        "same_state": results[0]["state"] == results[1]["state"],
        "answers_seen": seen.answers,
        "vectors_seen": seen.vectors,
        "unreadable": seen.unreadable,
        "seconds": round(time.monotonic() - began, 1),
    }


ZERO = ("lost_rounds", "wrong_sums", "double_answers", "reused_masks", "abandoned", "unreadable")


def clean(figures: dict[str, object], kills: int) -> bool:
    """Say whether nothing was violated, and enough was seen to say so."""
    whole = figures["vectors_seen"] and figures["answers_seen"] and figures["same_state"]
    enough = figures["kills"] == kills
    return bool(whole) and enough and not any(figures[key] for key in ZERO)


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of each transport")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--transport", choices=(*TRANSPORTS, "both"), default="both")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="leave everything in this new folder")
    asked = parser.parse_args()
    wanted = TRANSPORTS if asked.transport == "both" else (asked.transport,)
    if "mqtt" in wanted and find("mosquitto") is None:
        sys.stderr.write("Mosquitto is not installed: MQTT is left out; `make services`\n")
        wanted = tuple(name for name in wanted if name != "mqtt")
    home = Path(tempfile.mkdtemp(prefix="dreamshare-chaos-")) if asked.keep is None else asked.keep
    figures = {
        name: compare(name, asked.devices, asked.kills, asked.seed, home / name) for name in wanted
    }
    sys.stderr.write("\n")
    good = bool(figures) and all(clean(each, asked.kills) for each in figures.values())
    totals = {
        key: sum(int(str(each[key])) for each in figures.values()) for key in ("kills", *ZERO)
    }
    report = {**totals, "same_state": good, "seed": asked.seed, **figures}
    sys.stdout.write(json.dumps(report, indent=None if asked.json else 2) + "\n")
    if asked.keep is None and good:
        shutil.rmtree(home, ignore_errors=True)
    elif not good:
        sys.stderr.write(f"violated; everything is in {home}\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
