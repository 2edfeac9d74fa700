"""What unmasking costs the aggregator, measured in a round of real machines.

Rules:
- devices and aggregator are the real machines; only the thresholds are set, to the graph that the
  peer is measured on too: a regular one whose degree is below what SA-2 would take for so few;
- the clock runs from the first answer to the sum: signatures, secrets, masks, range check, result.
"""

from __future__ import annotations

import time
from unittest.mock import patch

import numpy as np
from benchmarks.secagg_parts import one_step

from dreamshare_crypto.graph import Claims, Derived
from dreamshare_crypto.secagg import session as sessions
from dreamshare_crypto.secagg.events import Stage, Summed
from tests.sim.secagg.harness import Cohort


def thresholds(n: int, k: int, t: int, dropped: int) -> Derived:
    """Return a regular graph's thresholds, as the benchmark wants them."""
    colluders = n // 20
    return Derived(
        a=colluders,
        t=t,
        k=k,
        q=(n + colluders) // 2 + 1,
        committee=n,
        seeders=24,
        a_min=n - dropped,
        u_min=n - dropped,
        d=0,
        crowd=n - dropped,
        liars=colluders,
    )


def unmasking(
    dims: int, clip: float, n: int, k: int, t: int, dropped: int, repeat: int
) -> list[float]:
    """Return CPU seconds of unmasking the sum of n devices' vectors after some dropped out.

    Every device takes part in the whole set-up and masks against k neighbours; the last `dropped`
    of them vanish before their vectors arrive. Each sum is compared with the exact one.
    """
    derived = thresholds(n, k, t, dropped)

    def forced(size: int, claims: Claims) -> Derived:
        return derived

    seconds = []
    with patch.object(sessions, "derive_parameters", forced):
        for _ in range(repeat):  # an epoch each: who misses two rounds of one is left out
            cohort = Cohort(n, one_step(dims, 16, clip, rounds=1))
            cohort.set_up()
            seconds.append(_round(cohort, n - dropped))
    return seconds


def _round(cohort: Cohort, alive: int) -> float:
    def keeps(number: int, stage: Stage) -> bool:
        return number < alive and stage is not Stage.UNMASK_RESPONSE

    cohort.open()
    cohort.pump(keeps)
    cohort.pass_deadline(keeps)  # of collecting: the last devices never answer
    answers = [party.sent(Stage.UNMASK_RESPONSE)[-1] for party in cohort.parties[:alive]]
    started = time.process_time()
    for number, body in enumerate(answers):
        cohort.arrive(number, Stage.UNMASK_RESPONSE, body)
    spent = time.process_time() - started
    summed = cohort.outcome()
    if not isinstance(summed, Summed):
        raise SystemExit(f"the round of the benchmark was given up: {summed}")
    if not np.allclose(summed.sums[0], cohort.expected_sum(0, range(alive)), atol=1e-6 * alive):
        raise SystemExit("the sum of the benchmark's round is wrong")
    return spent
