"""What holds after any run, however unkind the network was."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from dreamshare.protocol.outcomes import SumDone, TaskFailed
from dreamshare_crypto.secagg.events import Stage
from tests.sim.rounds.toy import RESOLUTION, mean_of
from tests.sim.rounds.world import World

TOLERANCE_STEPS = 6
"""Random rounding moves a device's part by less than one step (12.2). All weights are at least 1/4,
so the mean of n parts moves by less than n / (n / 4) = 4 steps; the weights' own rounding, half of
2^-16 each, adds less than 2^-15 / (1/4) of a bound, which is 4 steps of 16 bits at the very most
for values at the bound, and less than 2 for the mean of uniform ones."""

ONCE = (Stage.MASKED_INPUT, Stage.AGREE, Stage.UNMASK_RESPONSE)
HEAD = 36  # sid and round lead the three messages (docs/protocol.md, section 7)


def check(world: World) -> None:
    """Check everything that must hold at any moment."""
    check_sums(world)
    check_said_once(world)
    check_tells(world)


def check_sums(world: World) -> None:
    """Every mean is that of its survivors' answers to its plan, and of nobody else's."""
    for done, plan in world.sums:
        assert len(done.survivors) >= 3
        expected = mean_of(done.survivors, plan)
        for name, step in RESOLUTION.items():
            error = np.abs(np.asarray(done.mean[name]) - expected[name]).max()
            assert error < TOLERANCE_STEPS * step, (name, error / step)


def check_said_once(world: World) -> None:
    """In one round of one session a device says one thing of each kind, resends included."""
    for device in world.devices:
        said: dict[tuple[Stage, bytes], set[bytes]] = defaultdict(set)
        for message in world.sa2_sent(device):
            if message.stage in ONCE:
                said[message.stage, message.body[:HEAD]].add(message.body)
        assert all(len(bodies) == 1 for bodies in said.values())


def check_tells(world: World) -> None:
    """Devices learn the Tells in order, each once, none left out."""
    for device in world.devices:
        assert device.learnt == list(range(1, len(device.learnt) + 1))
        assert len(device.learnt) <= len(world.tells)


def check_ended(world: World) -> None:
    """The task came to its end: all sums, or a failure that says why."""
    assert world.closed
    failed = [report for report in world.reports if isinstance(report, TaskFailed)]
    sums = [report for report in world.reports if isinstance(report, SumDone)]
    assert failed or len(sums) == 3
