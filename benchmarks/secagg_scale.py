"""Claim: a thousand devices, real machines all of them, sum exactly under masks in one process.

    python -m benchmarks.secagg_scale [--devices 1000] [--dims 10000] [--drop 0.05] [--json]

Profile K: every device deals shares to its neighbours on a random ring, masks against them and
answers for them; the last devices of the ring's roster vanish before their vectors arrive. Devices
of one process share what a signature check or the decoding of a public message gave, which devices
of their own could not; the output says so. Nothing else is shared or left out.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections import Counter

import numpy as np
from benchmarks.rig import output_options, peak_mb, publish
from benchmarks.secagg_parts import one_step

from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import Profile, derive_parameters
from dreamshare_crypto.secagg.events import Stage, Summed
from dreamshare_crypto.secagg.once import Once
from tests.sim.secagg.harness import Cohort

BITS = 16
CLIP = 1.0


class Counted(Cohort):
    """A cohort that adds up what travels, and shows how far it is."""

    def __init__(self, n: int, dims: int) -> None:
        terms = one_step(dims, BITS, CLIP, rounds=1, n_max=n, profile=Profile.REGULAR)
        super().__init__(
            n, terms, Floor(profiles=(Profile.COMPLETE, Profile.REGULAR)), once=Once.shared()
        )
        self.sent: Counter[Stage] = Counter()
        self.received: Counter[Stage] = Counter()

    def give(self, number: int, stage: Stage, body: bytes) -> tuple:
        """Count a message that a device receives."""
        self.received[stage] += len(body)
        return super().give(number, stage, body)

    def arrive(self, number: int, stage: Stage, body: bytes) -> tuple:
        """Count a message that a device sent, and let the device forget that it did."""
        self.sent[stage] += len(body)
        self.parties[number].effects.clear()
        return super().arrive(number, stage, body)


def run(n: int, dims: int, drop: float) -> dict[str, object]:
    """Set a cohort up, sum once with dropouts, and return the figures."""
    started = time.perf_counter()
    note(f"making {n} devices")
    cohort = Counted(n, dims)
    note("set-up: keys, roster, graph, shares")
    before = time.perf_counter()
    cohort.set_up()
    ready = time.perf_counter()
    dropped = round(drop * n)
    gone = set(range(n - dropped, n))
    note(f"round: {dims} coordinates, {dropped} devices vanish")
    outcome = cohort.run_round(
        lambda number, stage: number not in gone or stage is not Stage.MASKED_INPUT
    )
    ended = time.perf_counter()
    if not isinstance(outcome, Summed):
        raise SystemExit(f"the round was given up: {outcome}")
    expected = cohort.expected_sum(0, [i for i in range(n) if i not in gone])
    step = 2 * CLIP / (2**BITS - 1)
    exact = bool(np.abs(outcome.sums[0] - expected).max() < step / 2)
    derived = derive_parameters(n, cohort.terms.claims)
    return {
        "exact": exact,
        "n": n,
        "dropped": dropped,
        "survivors": len(outcome.survivors),
        "dims": dims,
        "neighbours": derived.k,
        "threshold": derived.t,
        "witnesses": derived.committee,
        "seconds": ended - started,
        "setup_seconds": ready - before,
        "round_seconds": ended - ready,
        "peak_mb": peak_mb(),
        "shared_between_devices": "results of signature checks, decoded public messages",
        "kb_up_per_device": {s.name.lower(): b / n / 1000 for s, b in cohort.sent.items()},
        "kb_down_per_device": {s.name.lower(): b / n / 1000 for s, b in cohort.received.items()},
    }


def note(text: str) -> None:
    """Tell a waiting reader what is going on."""
    print(f"{text} ...", file=sys.stderr, flush=True)


def main() -> int:
    """Run once; return 0 when the sum was exact."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--devices", type=int, default=1000, help="129 or more")
    parser.add_argument("--dims", type=int, default=10_000)
    parser.add_argument("--drop", type=float, default=0.05, help="share of devices that vanish")
    output_options(parser)
    arguments = parser.parse_args()
    if arguments.devices < 129:
        parser.error("profile K begins at 129 devices")
    figures = run(arguments.devices, arguments.dims, arguments.drop)
    figures["machine"] = {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
    }
    publish(figures, arguments)
    return 0 if figures["exact"] else 1


if __name__ == "__main__":
    sys.exit(main())
