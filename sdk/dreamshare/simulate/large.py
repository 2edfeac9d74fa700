"""A population run through an algorithm, its groups on an engine: 100,000 devices on one machine.

    async with open_engine(EngineConfig("processes")) as engine:
        result = await simulate_population(config, population, engine, most=64)

Rules:
- each step of the algorithm is a batch: every group of devices runs it through real machines, with
  masks and a sum of its own (`grouped`); the sums of the groups are added here, in their order, and
  the algorithm merges the mean over all survivors once;
- what comes out is a function of config, population, conditions, size of a cohort and seed. The
  engine and its size change how long it takes;
- between steps a device is as many bytes as its state, and none before it has first learnt;
- with a folder, finished groups are kept, and a run that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dreamshare.algorithms.base import Done
from dreamshare.algorithms.catalog import algorithm_from, config_json_of
from dreamshare.binding import Lookup, TaskLoop
from dreamshare.engine.batches import Batch, BatchEngine, Failed, Resources
from dreamshare.engine.batches import Finished as Computed
from dreamshare.errors import DreamshareError
from dreamshare.ids import PartyId
from dreamshare.protocol.events import Asked, Told
from dreamshare.protocol.messages import Deadlines
from dreamshare.protocol.outcomes import SumDone, TellSpread
from dreamshare.simulate.conditions import Conditions
from dreamshare.simulate.grouped import group_step
from dreamshare.simulate.keeping import Keeper
from dreamshare.simulate.population import Group, GroupDone, Population, Step, groups_of
from dreamshare.simulate.totals import Total
from dreamshare.updates import PublicArray
from dreamshare_crypto.floor import Floor


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step that every group has finished, and the algorithm has merged.

    Attributes:
        number: of the step, from 0.
        name: of the step, as the algorithm calls it.
        cycle: the algorithm's outer counter of the step.
        learnt: whether devices were told something; otherwise a sum was made.
        groups: what came of each group, in order; their means are in the state by now.
        state: the algorithm's, merged.
        next_cycle: of what it wants next; -1 once it is done.
        states: of each group's devices, as they are now.
    """

    number: int
    name: str
    cycle: int
    learnt: bool
    groups: tuple[GroupDone, ...]
    state: object
    next_cycle: int
    states: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class LargeOptions:
    """What a run may change.

    Attributes:
        seed: of keys, conditions, and the algorithm's first state.
        most: devices of a cohort, 3 to 128.
        conditions: how devices behave.
        deadlines: of a cohort's stages.
        floor: what every device insists on.
        lookup: where algorithms come from: a function at the top of a module.
        checkpoint: a state of the algorithm to begin with.
        steps: how many to run at most; 0 for all.
        folder: where finished groups are kept for a run that goes on; None keeps none.
        resources: of a group's piece.
        on_step: called after each step; what it returns is awaited. The step is put away after
            that: where a run is killed in between, the next one calls it again for the same step.
        on_group: called with each group that has finished, as they come, with its mean.
    """

    seed: int = 0
    most: int = 64
    conditions: Conditions = Conditions()
    deadlines: Deadlines = Deadlines()
    floor: Floor = field(default_factory=Floor)
    lookup: Lookup = algorithm_from
    checkpoint: bytes | None = None
    steps: int = 0
    folder: Path | None = None
    resources: Resources = Resources()
    on_step: Callable[[StepDone], Awaitable[None] | None] | None = None
    on_group: Callable[[GroupDone], None] | None = None


@dataclass(frozen=True, slots=True)
class LargeResult:
    """What came of a run.

    Attributes:
        arrays, metrics, advice: of the algorithm's Done; empty where it is not done.
        state: the algorithm's last.
        steps: how many were run here; those that were found finished are not among them.
        groups: the devices as they are now.
    """

    arrays: Mapping[str, PublicArray]
    metrics: Mapping[str, float]
    advice: str
    state: object
    steps: int
    groups: tuple[Group, ...]


class NoSurvivors(DreamshareError):
    """No group of a population could open a sum; the text has the first group's reason."""


async def simulate_population(
    config: object, population: Population, engine: BatchEngine, options: LargeOptions
) -> LargeResult:
    """Run an algorithm over a population, to its end or for so many steps.

    Args:
        config: of a registered algorithm, or a pair (name, canonical JSON) for `options.lookup`.
        population: its devices.
        engine: where groups are computed.
        options: see there.

    Raises:
        ConfigError: config, population and options do not fit together, or the folder holds
            another run.
        NoSurvivors: a sum came of no group.
        WorkFailed: a group could not be computed.
    """
    name, config_json = config if isinstance(config, tuple) else config_json_of(config)
    groups = groups_of(population.count, options.most)
    said = (name, config_json.decode(), repr(population), repr(options.conditions))
    keeper = Keeper(options.folder, "\n".join((*said, f"{options.seed} {options.most}")))
    number, checkpoint = keeper.found(options.checkpoint)
    groups = keeper.states(groups)
    loop = TaskLoop(options.lookup(name, config_json), config_json, options.seed, checkpoint)
    run = 0
    while not options.steps or run < options.steps:
        order = loop.order()
        if not isinstance(order, Asked | Told):
            break
        learns = isinstance(order, Told)
        step = Step(
            number,
            name,
            config_json,
            loop.checkpoint(),
            options.seed,
            population,
            options.conditions,
            options.deadlines,
            options.floor,
            options.lookup,
        )
        keeper.begin(number, step.checkpoint)
        total = Total()
        done = await _all(engine, step, groups, keeper, options, total)
        if learns:
            groups = tuple(
                replace(group, states=each.states or group.states)
                for group, each in zip(groups, done, strict=True)
            )
        if isinstance(order, Told):
            loop.react(_told(order, done, number))
        else:
            loop.react(_summed(order, done, total))
        if options.on_step is not None:
            seen = options.on_step(
                StepDone(
                    number,
                    order.plan.step,
                    order.plan.cycle,
                    learns,
                    done,
                    loop.state,
                    loop.cycle,
                    groups,
                )
            )
            if seen is not None:
                await seen
        keeper.end(number, loop.checkpoint(), groups if learns else ())
        number, run = number + 1, run + 1
    end = loop.done or Done()
    return LargeResult(end.result, end.metrics, end.advice, loop.state, run, groups)


async def _all(
    engine: BatchEngine,
    step: Step,
    groups: Sequence[Group],
    keeper: Keeper,
    options: LargeOptions,
    total: Total,
) -> tuple[GroupDone, ...]:
    """Run a step in every group that has not finished it yet; the sums of all go to `total`."""
    done = {each.number: total.take(each) for each in keeper.finished(step.number, groups)}
    left = [group for group in groups if group.number not in done]
    batch = Batch(group_step, left, step, options.resources)
    async with engine.run(batch) as events:
        async for event in events:
            match event:
                case Computed(value=each):
                    keeper.keep(step.number, each)
                    done[each.number] = total.take(each)
                    if options.on_group is not None:
                        options.on_group(each)
                case Failed():
                    raise event.error()
                case _:
                    pass
    return tuple(done[group.number] for group in groups)


def _summed(order: Asked, done: Sequence[GroupDone], total: Total) -> SumDone:
    """Return the mean over the survivors of all groups, as one sum would have given it."""
    if not total.weight_sum:
        raise NoSurvivors(f"no group gave a sum; the first: {done[0].trouble or 'no weight'}")
    with_sum = [each for each in done if each.weight_sum > 0]
    return SumDone(
        total.mean(),
        total.weight_sum,
        _anybody(sum(each.survivors for each in with_sum)),
        sum(each.roster for each in with_sum),
        order.plan.step,
        order.plan.cycle,
    )


def _told(order: Told, done: Sequence[GroupDone], number: int) -> TellSpread:
    told, learnt = sum(each.roster for each in done), sum(each.survivors for each in done)
    return TellSpread(number, told, learnt, order.plan.step, order.plan.cycle)


def _anybody(count: int) -> tuple[PartyId, ...]:
    """Return so many names: an algorithm counts survivors and learns nothing else of them."""
    return tuple(PartyId(place.to_bytes(16, "little")) for place in range(count))
