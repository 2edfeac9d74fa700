"""The contract of an algorithm: a frozen config, four small methods and a table of its steps.

    class Counting:
        name = "counting/1"                              # a released name never changes meaning
        def __init__(self, config: CountingConfig) -> None: ...
        def init(self, rng) -> State: ...                # once, on the aggregator
        def plan(self, state) -> Ask | Tell | Done: ...  # what do I want next?
        def local(self, ask, learner, data, rng) -> Update: ...   # on the device
        def merge(self, state, mean, crowd) -> State: ...        # how the mean changes my state

        def steps(self) -> Mapping[str, tuple[Field, ...]]: ...  # every Ask's largest fields

A complete toy, which counts how many examples the cohort has in each class:

    @dataclass(frozen=True, slots=True)
    class CountingState:
        counts_K: NDArray[np.float64] | None = None

    class Counting:
        name = "counting/1"
        def __init__(self, config): self.config = config
        def steps(self): return {"count": (Field("counts", (10,), bound=65535.0),)}
        def init(self, rng): return CountingState()
        def plan(self, state):
            if state.counts_K is not None:
                return Done({"counts": state.counts_K})
            return Ask("count", self.steps()["count"], sums=1)
        def local(self, ask, learner, data, rng):
            return Update({"counts": data.class_counts(10).astype(float)})
        def merge(self, state, mean, crowd):
            return CountingState(mean["counts"] * crowd.survivors)

Rules:
- an algorithm sees neither masks nor messages, devices nor loops over them;
- `steps` is the template of an epoch (docs/protocol.md 6): per Ask step the fields with their
  largest bounds; an Ask may lower a bound, computed from public sums only (12.2), nothing else;
- its state is a frozen dataclass of numbers, strings, tuples, arrays and mappings of arrays
  (`dreamshare.algorithms.checkpoint` stores it without pickle), so a killed service resumes;
- `mean` holds, per declared field, sum(w x) / sum(w) over the survivors of one closed round;
- `local` is a pure function of (learner state, ask, data, rng); on a Tell it trains and returns an
  empty Update.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from dreamshare.learning.base import Batch, Data, KeepsArrays, Learner
from dreamshare.learning.public import PublicSet
from dreamshare.payloads.gallery import Gallery
from dreamshare.privacy.wanted import ExampleNoise
from dreamshare.updates import Array, Field, PublicArray, Update


@dataclass(frozen=True, slots=True)
class Ask:
    """One masked sum that the algorithm wants.

    Attributes:
        step: registered name of the local computation, e.g. "dream".
        fields: what every device answers.
        tensors: the public payload that goes with it, in declared order.
        sums: how many masked sums the whole run still needs, this one included (sizes the epoch).
        cycle: the algorithm's own counter of its outer loop (enters the payload hash).
        weight_cap: W; a device's weight is at most this. 1.0 with equal weights.
    """

    step: str
    fields: tuple[Field, ...]
    tensors: Mapping[str, PublicArray] = dataclass_field(default_factory=dict)
    sums: int = 1
    cycle: int = 0
    weight_cap: float = 1.0


@dataclass(frozen=True, slots=True)
class Tell:
    """Public knowledge for every device; nothing comes back but an acknowledgement."""

    step: str
    tensors: Mapping[str, PublicArray]
    sums: int = 0
    cycle: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """The run is over. `result` is public; `metrics` are named scalars for people.

    `advice` is for them, too: what to do next, where the run found that out; "" for nothing.
    """

    result: Mapping[str, PublicArray] = dataclass_field(default_factory=dict)
    metrics: Mapping[str, float] = dataclass_field(default_factory=dict)
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is wanted until an operator asks (`TakesQuestions`).

    Attributes:
        sums: how many masked sums the whole run may still need.
        cycle: as of an Ask.
    """

    sums: int = 1
    cycle: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What an operator asks of a task that waits.

    Attributes:
        step: of the Ask that is wanted; "" ends the task.
        tensors: its public payload.
    """

    step: str
    tensors: Mapping[str, PublicArray] = dataclass_field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Crowd:
    """What is public about who answered: the roster's size and the number of survivors."""

    roster: int
    survivors: int


State = TypeVar("State")


class Algorithm(Protocol[State]):
    """See the module's docstring; `State` is the algorithm's own frozen dataclass."""

    @property
    def name(self) -> str:
        """Return the registered name with its version, e.g. "codream/1"."""
        ...

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        """Return, for every step that an Ask may name, its fields with their largest bounds."""
        ...

    def init(self, rng: np.random.Generator) -> State:
        """Return the first state."""
        ...

    def plan(self, state: State) -> Ask | Tell | Done | Wait:
        """Return what is wanted next; a pure function of the state."""
        ...

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        """Compute this device's answer; raises ConfigError for a step that it does not know."""
        ...

    def merge(self, state: State, mean: Mapping[str, Array], crowd: Crowd) -> State:
        """Return the next state; `mean` is empty after a Tell."""
        ...


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What a step shows of single examples, beyond sums.

    Attributes:
        captions: most texts of one device in one answer, >= 1.
        least: fewest of its examples that must have a text word for word, >= 1.
    """

    captions: int
    least: int


@runtime_checkable
class Discloses(Protocol):
    """An algorithm with steps whose sums show what single devices wrote into them.

    A device asks before it answers, and its owner's policy must allow it (docs/threat-model.md).
    """

    def disclosure(self, step: str) -> Disclosure | None:
        """Return what a step shows; None for a sum that hides its terms."""
        ...


@runtime_checkable
class TakesQuestions(Protocol):
    """An algorithm whose next Ask an operator decides, when it has seen the last sum."""

    def hear(self, state: object, question: Question) -> object:
        """Return the state in which `plan` asks for it.

        Raises:
            ConfigError: this state waits for no question, or not for this one.
        """
        ...


@runtime_checkable
class Recalls(Protocol):
    """An algorithm whose Ask may name public arrays that an earlier one has brought."""

    def recall(self, ask: Ask, tape: KeepsArrays) -> Ask:
        """Return the Ask with the arrays that it names; keep those that later ones may name.

        Raises:
            ConfigError: this device has them no longer.
        """
        ...


@runtime_checkable
class RefusesNoise(Protocol):
    """An algorithm that some configs keep from running with noise (docs/privacy.md).

    Noise hides values and not weights, so every device must weigh the same.
    """

    def noise_fault(self) -> str:
        """Return why this config cannot have noise, and what to change; "" where it can."""
        ...


@runtime_checkable
class HidesExamples(Protocol):
    """An algorithm some of whose configs bring noise that hides one example (docs/privacy.md)."""

    def example_noise(self) -> ExampleNoise | None:
        """Return what every step of this config needs; None for a config without noise."""
        ...


@runtime_checkable
class Draws(Protocol):
    """An algorithm whose public state has pictures in it, for people who watch."""

    def gallery(self, state: object) -> Gallery | None:
        """Return what a state of this algorithm shows, oldest first; None while it shows none."""
        ...

    def gallery_of(self, result: Mapping[str, PublicArray]) -> Gallery | None:
        """Return what the arrays of its `Done` show; None where they show nothing."""
        ...


@runtime_checkable
class Concludes(Protocol):
    """An algorithm whose devices take the public model over at the end of a run, not on the way."""

    def conclusion(self, state: object) -> Tell | None:
        """Return what a device would be told, were the run to end at this state; None for nothing.

        Whoever measures a run on the way lets a learner learn from it, and puts it back afterwards.
        """
        ...


@runtime_checkable
class Teaches(Protocol):
    """An algorithm whose public state has examples that anybody may train a student on."""

    def lessons(self, state: object) -> Batch | None:
        """Return them, with classes or soft labels; None while there are none."""
        ...


@runtime_checkable
class TeachesHolders(Protocol):
    """An algorithm whose public state labels a public set: who holds the set may train a student.

    The state names inputs by digest alone, so whoever asks brings them.
    """

    def lessons_on(self, state: object, public: PublicSet) -> Batch | None:
        """Return the set with soft labels; None while there are none, or for another set."""
        ...


@runtime_checkable
class Carries(Protocol):
    """An algorithm whose late answers count in the next round, as differences do.

    A device that computed too late for a round's sum keeps its answer and adds it to its next one
    to the same step, before that is clipped: it counts once, within the bounds of one answer.
    """

    def carries(self, step: str) -> bool:
        """Say whether a late answer to this step is carried over to the next one."""
        ...

    def carry(self, ask: Ask, own: Update, late: Update) -> Update:
        """Return the answer to `ask` with a late one in it; not clipped, as `local` does not."""
        ...
