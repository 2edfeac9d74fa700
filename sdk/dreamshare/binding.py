"""Between what is learnt and what is agreed: the one module that knows both Ask and RoundPlan.

Rules:
- on the aggregator a `TaskLoop` turns an algorithm's state into orders for the coordinator, and the
  coordinator's reports into the next state; it is pure, and its checkpoint is bytes;
- on a device `CatalogWork` turns a plan back into an Ask and runs the registered algorithm on it:
  code never travels, a plan names what is run;
- a plan says everything that a computation depends on but the device's own data and weights; bounds
  and bits come from the signed parameters, never from the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dreamshare.algorithms.base import (
    Algorithm,
    Ask,
    Carries,
    Crowd,
    Discloses,
    Disclosure,
    Done,
    Draws,
    HidesExamples,
    Question,
    Recalls,
    RefusesNoise,
    TakesQuestions,
    Tell,
    Wait,
)
from dreamshare.algorithms.catalog import algorithm_from, entry_of
from dreamshare.algorithms.checkpoint import decode_state, encode_state
from dreamshare.errors import ConfigError, LocalProtocolError
from dreamshare.learning.base import Data, KeepsArrays, Learner
from dreamshare.payloads.gallery import Gallery
from dreamshare.privacy.examples import example_fault, settle_examples
from dreamshare.privacy.planning import settle
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.crowds import least_honest
from dreamshare.protocol.events import Asked, Compute, Finished, Learn, Told
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.outcomes import SumDone, TaskOutcome, TellSpread
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Field, Update

if TYPE_CHECKING:
    from dreamshare.protocol.terms import TaskTerms


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to tell the coordinator: the task waits for an operator's question."""


Order = Asked | Told | Finished | Idle
"""What a task's owner tells the coordinator."""

CONFIGS = 4
"""Configs that a device keeps decoded."""

Lookup = Callable[[str, bytes], Algorithm[object]]
"""(name, canonical JSON of the config) -> algorithm; raises ConfigError where it is unknown."""


def plan_of(algorithm: str, config: bytes, wanted: Ask | Tell) -> RoundPlan:
    """Return the plan that asks devices for this; draw and last Tell are the coordinator's."""
    fields = wanted.fields if isinstance(wanted, Ask) else ()
    return RoundPlan(
        algorithm=algorithm,
        step=wanted.step,
        config=config,
        cycle=wanted.cycle,
        tensors=wanted.tensors,
        field_names=tuple(f.name for f in fields),
        field_shapes=tuple(f.shape for f in fields),
    )


def ask_of(plan: RoundPlan, fields: tuple[Field, ...], weight_cap: float) -> Ask:
    """Return what a plan asks a device for; `sums`, the aggregator's affair, is 1 here."""
    return Ask(plan.step, fields, plan.tensors, 1, plan.cycle, weight_cap)


def tell_of(plan: RoundPlan) -> Tell:
    """Return what a Tell's plan tells a device."""
    return Tell(plan.step, plan.tensors, 0, plan.cycle)


def order_of(algorithm: str, config: bytes, wanted: Ask | Tell | Done | Wait) -> Order:
    """Return what the coordinator is told when an algorithm wants this."""
    match wanted:
        case Ask():
            plan = plan_of(algorithm, config, wanted)
            return Asked(plan, wanted.fields, wanted.weight_cap, wanted.sums)
        case Tell():
            return Told(plan_of(algorithm, config, wanted))
        case Done():
            return Finished("done")
        case Wait():
            return Idle()


def terms_of(
    algorithm: Algorithm[object],
    cohort: Cohort,
    deadlines: Deadlines,
    privacy: Privacy | None = None,
) -> TaskTerms:
    """Return the terms of a task that runs this algorithm.

    Raises:
        ConfigError: cohort or deadlines are out of range, or the noise that is asked for makes no
            sense here.
    """
    from dreamshare.protocol.terms import TaskTerms  # the operator's: no agent needs them

    first = algorithm.plan(algorithm.init(np.random.default_rng(0)))
    cap = first.weight_cap if isinstance(first, Ask) else 1.0
    steps = algorithm.steps()
    sums = 1 if isinstance(first, Done) else max(1, first.sums)
    dims = [sum(f.size for f in fields) for fields in steps.values()]
    hidden = algorithm.example_noise() if isinstance(algorithm, HidesExamples) else None
    if hidden is not None:
        if privacy is not None:
            raise ConfigError(
                f"{algorithm.name}: this config brings noise of its own; ask for no other"
            )
        noise = settle_examples(hidden, dims, sums, least_honest(cohort))
        return TaskTerms(algorithm.name, steps, cohort, deadlines, cap, noise=noise)
    if privacy is None:
        return TaskTerms(algorithm.name, steps, cohort, deadlines, cap)
    fault = algorithm.noise_fault() if isinstance(algorithm, RefusesNoise) else ""
    if fault:
        raise ConfigError(f"{algorithm.name} with noise: {fault}")
    noise = settle(privacy, dims, sums, least_honest(cohort))
    return TaskTerms(algorithm.name, steps, cohort, deadlines, cap, noise=noise)


class TaskLoop:
    """An algorithm at work on the aggregator: report in, next order out.

        loop = TaskLoop(algorithm, config, seed)
        order = loop.order()                        # for the coordinator
        while (order := loop.react(report)) ...     # None: this report changes nothing
        order = loop.hear(question)                 # where the order was `Idle`

    Args:
        algorithm: what is run.
        config: canonical JSON of its config, as it goes into every plan.
        seed: of the first state's randomness, public, >= 0.
        checkpoint: a stored state to go on from.
    """

    def __init__(
        self,
        algorithm: Algorithm[object],
        config: bytes,
        seed: int = 0,
        checkpoint: bytes | None = None,
    ) -> None:
        """Begin, or go on.

        Raises:
            ConfigError: the checkpoint is not one of this algorithm.
        """
        self._algorithm = algorithm
        self._config = config
        self._state = algorithm.init(np.random.default_rng(seed))
        if checkpoint is not None:
            self._state = decode_state(checkpoint, type(self._state))
        self._wanted = algorithm.plan(self._state)

    @property
    def algorithm(self) -> Algorithm[object]:
        """What is run."""
        return self._algorithm

    @property
    def state(self) -> object:
        """Where it stands; public."""
        return self._state

    @property
    def done(self) -> Done | None:
        """The public result, once the algorithm is done."""
        return self._wanted if isinstance(self._wanted, Done) else None

    @property
    def cycle(self) -> int:
        """The algorithm's outer counter, as of what it wants now; -1 once it is done."""
        return -1 if isinstance(self._wanted, Done) else self._wanted.cycle

    @property
    def sums_left(self) -> int:
        """Masked sums that the whole run still needs, as far as the algorithm knows."""
        return 0 if isinstance(self._wanted, Done) else self._wanted.sums

    @property
    def gallery(self) -> Gallery | None:
        """What the state shows, where the algorithm draws it."""
        return self._algorithm.gallery(self._state) if isinstance(self._algorithm, Draws) else None

    def order(self) -> Order:
        """Return what is wanted now; the same until a report has changed it."""
        return order_of(self._algorithm.name, self._config, self._wanted)

    def react(self, outcome: TaskOutcome) -> Order | None:
        """Merge a coordinator's report; return the next order, or None where it ends no order.

        Raises:
            LocalProtocolError: the report answers something else than what was ordered.
        """
        match outcome, self._wanted:
            case SumDone(mean=mean), Ask():
                crowd = Crowd(outcome.roster, len(outcome.survivors))
            case TellSpread(), Tell():
                mean, crowd = {}, Crowd(outcome.sent_to, outcome.learnt)
            case ((SumDone() | TellSpread()), _):
                raise LocalProtocolError("a report that answers no order of this task")
            case _:
                return None
        self._state = self._algorithm.merge(self._state, mean, crowd)
        self._wanted = self._algorithm.plan(self._state)
        return self.order()

    def hear(self, question: Question) -> Order:
        """Take an operator's question; return the next order.

        Raises:
            ConfigError: the task takes none, or none now, or not this one.
        """
        if not isinstance(self._wanted, Wait) or not isinstance(self._algorithm, TakesQuestions):
            raise ConfigError(f"this task of {self._algorithm.name} waits for no question now")
        self._state = self._algorithm.hear(self._state, question)
        self._wanted = self._algorithm.plan(self._state)
        return self.order()

    def answers(self, question: Question) -> bool:
        """Whether what is wanted now is what a question asks for, as after a restart."""
        wanted = self._wanted
        return (
            isinstance(wanted, Ask)
            and wanted.step == question.step
            and wanted.tensors.keys() == question.tensors.keys()
            and all(np.array_equal(a, question.tensors[n]) for n, a in wanted.tensors.items())
        )

    def checkpoint(self) -> bytes:
        """Return the state as bytes; whoever starts from it is told the same orders."""
        return encode_state(self._state)


class CatalogWork:
    """What a device computes: the registered algorithm that a plan names, and nothing else.

    Args:
        algorithms: names that may run here.
        lookup: where algorithms come from.

    Raises:
        ConfigError: a name is not registered.
    """

    def __init__(self, algorithms: Sequence[str], lookup: Lookup | None = None) -> None:
        if lookup is None:
            for name in algorithms:
                entry_of(name)
        self._names = frozenset(algorithms)
        self._lookup = lookup or algorithm_from
        self._found: dict[tuple[str, bytes], Algorithm[object]] = {}

    def compute(
        self,
        order: Compute,
        learner: Learner,
        data: Data,
        rng: np.random.Generator,
        tape: KeepsArrays | None = None,
    ) -> Update:
        """Return the answer to a round; `tape` is the device's own, where it has one.

        Raises:
            ConfigError: algorithm, config or step are not known here; or the config promises noise
                that the signed parameters do not have; or the tape has lost what is named.
        """
        ask = ask_of(order.plan, order.fields, order.weight_cap)
        algorithm = self._algorithm(order.plan)
        hidden = algorithm.example_noise() if isinstance(algorithm, HidesExamples) else None
        if hidden is not None:
            dims = sum(field.size for field in order.fields)
            sums = len(algorithm.steps())  # each is asked for once
            if fault := example_fault(hidden, dims, sums, order.noise):
                raise ConfigError(f"{algorithm.name}: {fault}")
        if tape is not None and isinstance(algorithm, Recalls):
            ask = algorithm.recall(ask, tape)
        return algorithm.local(ask, learner, data, rng)

    def disclosure(self, plan: RoundPlan) -> Disclosure | None:
        """Return what a plan's step shows of single examples; ConfigError as above.

        The algorithm that is asked is the one that would compute: a plan cannot have it said by
        one and done by another.
        """
        algorithm = self._algorithm(plan)
        return algorithm.disclosure(plan.step) if isinstance(algorithm, Discloses) else None

    def carries(self, plan: RoundPlan) -> bool:
        """Say whether a late answer to this plan counts in the next round; ConfigError as above."""
        algorithm = self._algorithm(plan)
        return isinstance(algorithm, Carries) and algorithm.carries(plan.step)

    def carry(self, order: Compute, own: Update, late: Update) -> Update:
        """Return an answer with a late one in it; ConfigError as above."""
        algorithm = self._algorithm(order.plan)
        if not isinstance(algorithm, Carries):
            return own
        return algorithm.carry(ask_of(order.plan, order.fields, order.weight_cap), own, late)

    def learn(self, order: Learn, learner: Learner, data: Data, rng: np.random.Generator) -> None:
        """Learn from a Tell; ConfigError as above."""
        self._algorithm(order.plan).local(tell_of(order.plan), learner, data, rng)

    def _algorithm(self, plan: RoundPlan) -> Algorithm[object]:
        if plan.algorithm not in self._names:
            raise ConfigError(f"this device does not compute {plan.algorithm}")
        key = (plan.algorithm, plan.config)
        found = self._found.get(key)
        if found is None:
            found = self._lookup(plan.algorithm, plan.config)
            # a task repeats its config in every plan; a device is in few tasks at a time
            self._found = {**dict(list(self._found.items())[-CONFIGS + 1 :]), key: found}
        return found
