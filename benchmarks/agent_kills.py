"""SIGKILL of agents at random instants: what is left of their stores, and what they said twice.

    python -m benchmarks.agent_kills --kills 100 --seed 1 --json
    python -m benchmarks.agent_kills --runtime onnx --kills 100 --json

Three agents learn by `codream/1` in many cycles: they compute, learn and store all the time. After
each kill, before the next life, the store is opened as the next life would open it, and the stored
weights are compared with those that an undisturbed run of the same federation stored: they
are those before or after a phase, to the bit. What the agents sent is searched as in
`benchmarks.chaos`.

Rules:
- most kills wait for a merged sum and fall within the second after it; every fourth falls within
  the second after its victim was started, so that starting up is hit, too;
- a violation is counted, never asserted away: any gives exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.agent_learners import CLASSES, RUNTIMES, choose, chosen, equipment
from benchmarks.chaos import make_federation
from benchmarks.chaos_audit import audit
from benchmarks.chaos_parts import AWAY_S, PATIENT, FirstOf, Noted, Sent, link_of, write_whole
from benchmarks.chaos_run import Run

from dreamshare.algorithms.catalog import algorithm_from
from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.clock import SystemClock
from dreamshare.errors import DreamshareError
from dreamshare.protocol.messages import Cohort
from dreamshare.transport.grpc import GrpcListener
from dreamshare.transport.tap import TappedLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator import Aggregator, Surroundings, open_store
from dreamshare_crypto.identity import Identity
from dreamshare_edge import EdgeAgent, FileStore, Policy
from dreamshare_edge import Surroundings as AgentSurroundings

DEVICES = 3
MODULE = "benchmarks.agent_kills"
SUMS_A_CYCLE = 3
PAUSE_S = 1.0


class Watched(FileStore):
    """A store that notes the hash of every state of the learner beside itself, before it counts."""

    def __init__(self, own: Path) -> None:
        super().__init__(own / "state")
        self._log = own / "weights"

    def save(self, name: str, content: bytes) -> None:
        if name == "learner":
            with open(self._log, "ab", buffering=0) as file:
                file.write(digest(content).encode() + b"\n")
        super().save(name, content)


def digest(content: bytes) -> str:
    """Return what states are compared by: number of the Tell and weights, both."""
    return hashlib.sha256(content).hexdigest()


@dataclass
class Kills(Run):
    """A run whose agents alone are killed, and examined."""

    broken: list[str] = field(default_factory=list)
    between: int = 0
    examined: int = 0
    states: dict[Path, frozenset[str]] = field(default_factory=dict)

    def _disturb(self, kills: int, dice: random.Random, pause_s: float) -> None:
        agents = [part for part in self.parts if part.name == "agent"]
        for number in range(kills):
            part = dice.choice(agents)
            if number % 4:
                due = 1 + number * (self.rounds * SUMS_A_CYCLE - 4) // kills
                self._wait_for(partial(self._has_merged, due))
            else:
                part.kill()
                part.start()
            time.sleep(dice.uniform(0, pause_s))
            part.kill()
            self.killed["agent"] += 1
            self._examine(agents.index(part))
            part.start()
            sys.stderr.write(f"\r{number + 1} of {kills} killed ")
            sys.stderr.flush()

    def merged(self) -> int:
        """How many sums were merged so far, several of a cycle's step included."""
        path = self.home / "merged"
        return len(path.read_bytes().splitlines()) if path.exists() else 0

    def _examine(self, number: int) -> None:
        own = self.home / f"device-{number}"
        self.examined += 1
        try:
            with FileStore(own / "state") as store:
                content = store.load("learner")
                for task in store.tasks():
                    store.journal(task).records()
        except (DreamshareError, OSError, ValueError) as error:
            self.broken.append(f"device {number}: {error}")
            return
        if content is not None and digest(content) not in self.states[own]:
            self.between += 1


def compare(kills: int, seed: int, home: Path, runtime: str = "sample") -> dict[str, object]:
    """Run undisturbed, then with kills; return what was violated: nothing, it is hoped."""
    cycles = max(3, kills // 4)
    make_federation(home / "keys", DEVICES)
    choose(home / "keys", runtime)
    began = time.monotonic()
    runs: list[Kills] = []
    results: list[dict[str, object]] = []
    for name, count in (("undisturbed", 0), ("killed", kills)):
        shutil.copytree(home / "keys", home / name)
        run = Kills(home / name, "grpc", DEVICES, cycles, module=MODULE)
        for number in range(DEVICES if runs else 0):
            noted = runs[0].home / f"device-{number}" / "weights"
            run.states[run.home / f"device-{number}"] = frozenset(noted.read_text().split())
        results.append(run.run(count, seed, PAUSE_S))
        runs.append(run)
    quiet, killed = runs
    seen = audit(killed.captures(), Identity.load(home / "keys" / "aggregator.key"))
    return {
        "runtime": runtime,
        "kills": killed.killed["agent"],
        "ended_by_themselves": killed.killed["agent ended by itself"],
        "stores_opened": killed.examined - len(killed.broken),
        "stores_broken": len(killed.broken),
        "weights_between_phases": killed.between,
        "states": sum(len(states) for states in killed.states.values()),
        "double_answers": seen.double_answers,
        "reused_masks": seen.reused_masks,
        "unreadable": seen.unreadable,
        "answers_seen": seen.answers,
        "vectors_seen": seen.vectors,
        "lost_rounds": len(quiet.sums().keys() - killed.sums().keys()),
        "wrong_sums": sum(quiet.sums().get(p) != found for p, found in killed.sums().items()),
        "abandoned": results[1]["abandoned"],
        "why_broken": killed.broken,
        "seconds": round(time.monotonic() - began, 1),
    }


ZERO = (
    *("stores_broken", "weights_between_phases", "double_answers", "reused_masks", "unreadable"),
    *("lost_rounds", "wrong_sums", "abandoned", "ended_by_themselves"),
)


def clean(figures: dict[str, object], kills: int) -> bool:
    """Say whether nothing was violated, and enough was seen to say so."""
    enough = figures["kills"] == figures["stores_opened"] == kills and figures["answers_seen"]
    return bool(enough) and not any(figures[key] for key in ZERO)


async def aggregate(home: Path, life: int, link: str, cycles: int) -> None:
    """Be the aggregator until the task is over; the result is a file then."""
    identity = Identity.load(home / "aggregator.key")
    around = Surroundings(
        lookup=lambda name, config: Noted(algorithm_from(name, config), home / "merged"),
        threads=1,
        grace_s=AWAY_S,
        entropy=FirstOf(hashlib.sha256(b"task" + identity.id).digest()[:16]),
        capture=home / f"received-{life}",
    )
    feature_weight = 0.0 if chosen(home) == "sample" else 3.0  # of nets with BatchNorm
    config = CodreamConfig(
        shape=(1, 8, 8), classes=CLASSES, cycles=cycles, dreams=20, dream_steps=SUMS_A_CYCLE - 1,
        feature_weight=feature_weight, warm_up_epochs=1, fit_steps=10, optimizer="sgd", replay=40,
    )  # fmt: skip
    listener = GrpcListener(link.removeprefix("grpcs://"), TlsFiles.of(identity))
    async with Aggregator([listener], open_store("sqlite://"), identity, around) as aggregator:
        task = await aggregator.submit(config, Cohort(DEVICES, DEVICES), PATIENT)
        said = (await task.result()).status
        write_whole(home / "result", json.dumps({"abandoned": said.abandoned}).encode())


async def take_part(home: Path, life: int, link: str, number: int) -> None:
    """Be an agent until the process is ended."""
    from dreamshare_aggregator.capture import Capture

    own = home / f"device-{number}"
    identity = Identity.load(own / "device.key")
    rounding = hashlib.sha256(b"rounding" + (own / "device.key").read_bytes()).digest()
    own_equipment = equipment(home, number)
    tap = Sent(Capture(own / f"sent-{life}", SystemClock()), identity.id.hex())
    agent = EdgeAgent(
        link=TappedLink(link_of(link, identity), tap),
        learner=own_equipment.learner,
        data=own_equipment.data,
        algorithms=("codream/1",),
        store=Watched(own),
        policy=Policy(),
        identity=identity,
        surroundings=AgentSurroundings(entropy=FirstOf(rounding)),
    )
    async with agent:
        async for _ in agent.outcomes():
            pass


def be_part(words: list[str]) -> None:
    """Run one process: `aggregator` or `agent`."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    parser.add_argument("part", choices=("aggregator", "agent"))
    parser.add_argument("--home", type=Path, required=True)
    for name in ("--life", "--number", "--devices", "--rounds"):
        parser.add_argument(name, type=int, default=0)
    for name in ("--link", "--store"):
        parser.add_argument(name, required=True)
    asked = parser.parse_args(words)
    work = (
        aggregate(asked.home, asked.life, asked.link, asked.rounds)
        if asked.part == "aggregator"
        else take_part(asked.home, asked.life, asked.link, asked.number)
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(work)


def main(words: list[str]) -> int:
    """Run the benchmark; return the exit code."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if words[:1] in (["aggregator"], ["agent"]):
        be_part(words)
        return 0
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runtime", choices=RUNTIMES, default="sample")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(words)
    home = Path(tempfile.mkdtemp(prefix="dreamshare-agent-kills-"))
    figures = {"seed": asked.seed, **compare(asked.kills, asked.seed, home, asked.runtime)}
    sys.stdout.write("\n" + json.dumps(figures, indent=None if asked.json else 2) + "\n")
    if clean(figures, asked.kills):
        shutil.rmtree(home, ignore_errors=True)
        return 0
    sys.stderr.write(f"violated; everything is in {home}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
