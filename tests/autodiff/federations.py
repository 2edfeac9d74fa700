"""Federations that the tests share: the oracle, and the real machines with masks on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dreamshare.algorithms.autodiff.config import AutodiffConfig
from dreamshare.autodiff import Federation, OracleRounds, SimulatedRounds
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.simulate import Kill, SimulatedDevice, SimulatedSession, SimulationOptions
from tests.autodiff.programs import SOURCES, TERMS, data_of, learner_of

DEVICES = 4
CONFIG = AutodiffConfig(TERMS, rounds=200)


def oracle(devices: int = DEVICES, **options: object) -> Federation:
    data = [data_of(i) for i in range(devices)]
    cohort = Cohort(least=devices, most=devices)
    return Federation(OracleRounds(CONFIG, SOURCES, data), CONFIG, cohort, **options)  # type: ignore[arg-type]


@contextmanager
def masked(
    kinds: Sequence[str] = ("torch",) * DEVICES,
    kills: Sequence[Kill] = (),
    config: AutodiffConfig = CONFIG,
    **options: object,
) -> Iterator[Federation]:
    """A federation over simulated devices of these kinds, each with data of its own."""
    devices = [SimulatedDevice(learner_of(kind), data_of(i)) for i, kind in enumerate(kinds)]
    cohort = Cohort(least=len(devices), most=len(devices), survivors=3)
    times = SimulationOptions(deadlines=Deadlines(60, 60, 60), kills=kills)
    with SimulatedSession(config, devices, cohort=cohort, options=times) as session:
        yield Federation(SimulatedRounds(session), config, cohort, **options)  # type: ignore[arg-type]
