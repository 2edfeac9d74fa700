"""Many devices in one process: the real machines and drivers, a memory network, a manual clock.

    result = simulate(
        CodreamConfig(...),
        [SimulatedDevice(learner, data) for learner, data in ...],
        cohort=Cohort(least=4, most=4),
    )
    print(result.metrics, result.reports)

More devices than a cohort holds, on all cores of a machine or of a cluster: `simulate_population`.

Rules:
- there is no second path: what runs here runs over a network too, masks and signatures included;
- devices compute one after the other in the calling thread, so a run repeats exactly under one seed
  (as far as the learners do);
- time stands still while anything is done and jumps to the next deadline when nothing is: an hour
  of waiting takes no time, and a run that can go no further is an error, not a hang.
"""

from dreamshare.simulate.conditions import Conditions, Losses, read_trace
from dreamshare.simulate.jumping import SimulationStalled
from dreamshare.simulate.large import (
    LargeOptions,
    LargeResult,
    NoSurvivors,
    StepDone,
    simulate_population,
)
from dreamshare.simulate.population import Cost, Group, GroupDone, Population
from dreamshare.simulate.run import TaskGaveUp, simulate
from dreamshare.simulate.session import SimulatedSession
from dreamshare.simulate.values import (
    Kill,
    Moment,
    SimulatedDevice,
    SimulationOptions,
    SimulationResult,
    Traits,
)

__all__ = (
    "Conditions",
    "Cost",
    "Group",
    "GroupDone",
    "Kill",
    "LargeOptions",
    "LargeResult",
    "Losses",
    "Moment",
    "NoSurvivors",
    "Population",
    "SimulatedDevice",
    "SimulatedSession",
    "SimulationOptions",
    "SimulationResult",
    "SimulationStalled",
    "StepDone",
    "TaskGaveUp",
    "Traits",
    "read_trace",
    "simulate",
    "simulate_population",
)
