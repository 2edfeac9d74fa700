"""SIGKILL at random instants of aggregator, agents, broker and database: what is lost or repeated.

    python -m benchmarks.chaos --kills 200 --seed 1 --json
    python -m benchmarks.chaos --kills 20 --transport grpc --database postgresql

The same federation runs twice per transport, with the same device keys: once undisturbed, once with
its processes killed. Both must end in the same state, to the bit; what every device sent and what
the aggregator received is captured, packet by packet, and searched (`chaos_audit`).

Rules:
- processes, sockets, disks and signals are real; deadlines are above any restart, so that every
  device answers every round;
- kills are spread over the rounds and fall at random instants within them, however long these take
  (`chaos_run`); which process is drawn;
- a violation is counted, never asserted away: any gives exit code 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chaos_audit import audit
from benchmarks.chaos_run import Run

from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity
from tests.services import find

TRANSPORTS = ("grpc", "mqtt")
DATABASES = ("sqlite", "postgresql")

LONGEST_PAUSE_S = 0.8
"""Kills come within this time, or that of two rounds, after the progress that they wait for."""


def make_federation(home: Path, devices: int) -> None:
    """Write the keys that both runs have."""
    folder = FederationFolder(home / "federation")
    folder.create("grpcs://127.0.0.1:7443", SystemEntropy(), time.time())
    shutil.copy(folder.aggregator, home / "aggregator.key")
    for number in range(devices):
        folder.issue(Role.DEVICE, f"device-{number}", home / f"device-{number}" / "device.key")


def compare(
    transport: str, devices: int, kills: int, seed: int, home: Path, database: str = "sqlite"
) -> dict[str, object]:
    """Run twice over one transport and say what the kills changed: nothing, it is hoped."""
    rounds = max(4, kills)
    keys = home / "keys"
    make_federation(keys, devices)
    began = time.monotonic()
    quiet, killed = (
        Run(shutil.copytree(keys, home / name), transport, devices, rounds, database)
        for name in ("undisturbed", "killed")
    )
    results = [quiet.run(0, seed, 0.0)]
    a_round_s = (time.monotonic() - began) / len(quiet.sums())
    results.append(killed.run(kills, seed, min(LONGEST_PAUSE_S, 2 * a_round_s)))
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
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="leave everything in this new folder")
    asked = parser.parse_args()
    wanted = TRANSPORTS if asked.transport == "both" else (asked.transport,)
    if "mqtt" in wanted and find("mosquitto") is None:
        sys.stderr.write("Mosquitto is not installed: MQTT is left out; `make services`\n")
        wanted = tuple(name for name in wanted if name != "mqtt")
    if asked.database == "postgresql" and find("initdb") is None:
        sys.stderr.write("PostgreSQL is not installed; `make services`\n")
        return 1
    home = Path(tempfile.mkdtemp(prefix="dreamshare-chaos-")) if asked.keep is None else asked.keep
    figures = {
        name: compare(name, asked.devices, asked.kills, asked.seed, home / name, asked.database)
        for name in wanted
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
