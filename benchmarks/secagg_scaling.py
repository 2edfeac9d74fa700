"""How the cost of a device and of the aggregator grows with the cohort, up to 10,000 devices.

    python -m benchmarks.secagg_scaling [--sizes 10,100,1000,10000] [--dims 100000] [--json]

Two kinds of figures, told apart in the output. *Measured*: a real device of a roster of n real
devices checks that roster; the finder runs; a real device masks its vector against the k neighbours
that a cohort of n has. *Counted*: unit costs, measured here, times how often the protocol asks for
them. A whole cohort of real machines is measured by benchmarks.secagg_scale.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from dataclasses import dataclass
from statistics import median

import numpy as np
from benchmarks.rig import output_options, publish
from benchmarks.secagg_parts import client_masking, cpu_seconds, mask_keys, one_step

from dreamshare_crypto.aead import open_box, seal
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.finder import find_committee, find_degree
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import LARGEST_COMPLETE, Derived, Profile, derive_parameters
from dreamshare_crypto.keys import AgreementKey
from dreamshare_crypto.lanes import FieldParams
from dreamshare_crypto.prg import apply_masks
from dreamshare_crypto.secagg.events import Received, Send, Stage
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.shamir import Interpolator, coefficient_bytes, split
from dreamshare_crypto.suite import Suite
from tests.sim.secagg.harness import Cohort

BITS, CLIP = 16, 1.0
DROPPED = 0.05


@dataclass(frozen=True, slots=True)
class Units:
    """Measured unit costs, CPU seconds: one key agreement, one box either way, a byte of mask."""

    agreement: float
    box: float
    mask_byte: float


def measure_units(rounds: int) -> Units:
    """Return the unit costs on this machine, boxes holding the shares of `rounds` rounds."""
    own, peer = (AgreementKey.generate(SeededEntropy(name)) for name in (b"own", b"peer"))
    key, nonce, plain = Secret(bytes(32)), bytes(12), bytes(64 * rounds)
    words, keys = np.zeros(250_000, dtype=np.uint64), mask_keys(20)

    def boxes() -> None:
        for _ in range(200):
            open_box(key, nonce, seal(key, nonce, plain, b"", Suite.AES), b"", Suite.AES)

    return Units(
        agreement=cpu_seconds(lambda: [own.exchange(peer.public) for _ in range(200)]) / 200,
        box=cpu_seconds(boxes) / 400,
        mask_byte=cpu_seconds(lambda: apply_masks(words, keys, Suite.AES)) / (20 * 2_000_000),
    )


def thresholds_of(n: int) -> Derived:
    """Return what a roster of n works with: profile C as far as it goes, then K."""
    profile = Profile.COMPLETE if n <= LARGEST_COMPLETE else Profile.REGULAR
    return derive_parameters(n, one_step(1, BITS, CLIP, 1, n, profile).claims)


def roster_check(n: int, rounds: int) -> dict[str, float]:
    """Measured: a device of a roster of n real devices verifies every entry (6.2)."""
    profile = Profile.COMPLETE if n <= LARGEST_COMPLETE else Profile.REGULAR
    floor = Floor(profiles=(Profile.COMPLETE, Profile.REGULAR))
    cohort = Cohort(n, one_step(1, BITS, CLIP, rounds, n, profile), floor)
    cohort.start()
    while cohort.down and cohort.down[0][1] is Stage.OFFER:
        cohort.give(*cohort.down.pop(0))
    advertised = len(cohort.up[0][2])
    while cohort.up:
        cohort.arrive(*cohort.up.pop(0))
    number, stage, roster = cohort.down[0]
    client = cohort.parties[number].client
    started = time.process_time()
    effects = client.handle(Received(stage, roster, None), cohort.now)
    seconds = time.process_time() - started
    if any(isinstance(effect, Send) and effect.stage is not Stage.REVEAL for effect in effects):
        raise SystemExit("the device did not take its roster as the benchmark expects")
    return {
        "advertise_bytes": advertised,
        "roster_bytes": len(roster),
        "roster_check_s": seconds,
    }


def like_complete(n: int, dims: int) -> int:
    """Return a size of complete cohort whose vectors are as long as those of a cohort of n.

    A device is measured among its k neighbours alone; only lanes could tell the two cohorts apart.
    """
    size = min(n, LARGEST_COMPLETE)
    if FieldParams.create(dims, BITS, CLIP, size) != FieldParams.create(dims, BITS, CLIP, n):
        raise SystemExit(f"cohorts of {size} and {n} pack differently; choose other sizes")
    return size


def finder_seconds(n: int) -> float:
    """Measured: the finder, without what it remembers between calls."""
    find_degree.cache_clear()
    find_committee.cache_clear()
    return cpu_seconds(lambda: thresholds_of(n))


def counted(n: int, derived: Derived, dims: int, rounds: int, units: Units) -> dict[str, float]:
    """Counted: set-up of a device, and the aggregator's unmasking with 5 % dropped."""
    neighbours = derived.k or n - 1
    xs = range(1, neighbours + 1)
    stream = bytes(coefficient_bytes(derived.t))
    sharing = cpu_seconds(lambda: split(1, derived.t, xs, stream))
    xs, shares = xs[: derived.t], split(1, derived.t, xs, stream)[: derived.t]
    interpolator = Interpolator(derived.t)
    first = cpu_seconds(lambda: interpolator.combine(xs, shares))  # with an answer set's factors
    combining = cpu_seconds(lambda: interpolator.combine(xs, shares))
    vector = dims * 4
    dropped = round(DROPPED * n)
    masks = (n - dropped) + dropped * neighbours
    sets = n if derived.k else 1  # in the complete graph one answer set serves every secret
    return {
        "dealing_s": neighbours * (units.agreement + 2 * units.box) + 2 * rounds * sharing,
        "shares_up_bytes": neighbours * (64 * rounds + 32),
        "answer_bytes": 32 * neighbours,
        "unmask_s": masks * vector * units.mask_byte
        + dropped * neighbours * units.agreement
        + sets * (first - combining)
        + n * combining,
    }


def row(n: int, dims: int, rounds: int, units: Units) -> dict[str, object]:
    """Return the figures of one cohort size."""
    print(f"cohort of {n} ...", file=sys.stderr, flush=True)
    derived = thresholds_of(n)
    neighbours = derived.k or n - 1
    values = np.random.default_rng(0).normal(0.0, 0.2, dims)
    masking, sent = client_masking(values, CLIP, BITS, neighbours, 3, n_max=like_complete(n, dims))
    return {
        "n": n,
        "neighbours": neighbours,
        "threshold": derived.t,
        "witnesses": derived.committee,
        "measured": {
            "finder_s": finder_seconds(n),
            **roster_check(n, rounds),
            "mask_s": median(masking),
            "bytes_per_coordinate": sent,
        },
        "counted": counted(n, derived, dims, rounds, units),
    }


def main() -> int:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sizes", default="10,100,1000,10000", help="cohorts, comma-separated")
    parser.add_argument("--dims", type=int, default=100_000, help="coordinates of a vector")
    parser.add_argument("--rounds", type=int, default=16, help="R, rounds dealt in one set-up")
    output_options(parser)
    arguments = parser.parse_args()
    units = measure_units(arguments.rounds)
    rows = [
        row(int(n), arguments.dims, arguments.rounds, units) for n in arguments.sizes.split(",")
    ]
    record = {
        "dims": arguments.dims,
        "rounds": arguments.rounds,
        "dropped": DROPPED,
        "rows": rows,
        "machine": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
    }
    publish(record, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
