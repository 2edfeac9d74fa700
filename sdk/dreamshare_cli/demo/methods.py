"""The algorithms of the demo as it runs them: what is submitted, step after step, and when.

    codream   count, warm_up, ( dream x S, label, acquire ) x cycles
    moments   warm_up, count, describe, learn

Rules:
- steps end one after another, so that the number of those that ended says where a run stands;
- a lesson is a Tell; `lessons` say how far the baselines, trained by CoDream's config, are when the
  net has taken as many steps: 0 after the warm-up, n after as many as in n cycles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.algorithms.moments import MomentsConfig
from dreamshare_cli.demo.chosen import AlgorithmChoice
from dreamshare_cli.demo.setting import codream_config, moments_config

COUNTING = "agreeing on keys and counting labels under masks"
WARMING = "each training on its own digits"


@dataclass(frozen=True, slots=True)
class Step:
    """One masked sum or one Tell.

    Attributes:
        words: what goes on in it.
        weight: of the run's duration, in masked sums.
        lesson: whether devices learn in it, so that a round ends with it; the warm-up ends none.
    """

    words: str
    weight: float = 1.0
    lesson: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """One algorithm with its config.

    Attributes:
        name: "codream" or "moments".
        config: what is submitted.
        steps: from the first to the last.
        middle: steps that ended when half of the run is over, within a sum.
        lessons: see the module's rules.
        cyclic: whether its pictures are made in every round, or all at once.
    """

    name: str
    config: CodreamConfig | MomentsConfig
    steps: tuple[Step, ...]
    middle: int
    lessons: tuple[int, ...]
    cyclic: bool

    @property
    def rounds(self) -> int:
        """Lessons after the warm-up."""
        return sum(step.lesson for step in self.steps)

    @property
    def weight(self) -> float:
        """Of all steps."""
        return sum(step.weight for step in self.steps)


def methods(choice: AlgorithmChoice, seed: int, cycles: int) -> tuple[Method, ...]:
    """Return the algorithms of a demo, in the order in which they run."""
    made = {
        "codream": codream(codream_config(seed, cycles)),
        "moments": moments(moments_config(seed, cycles), cycles),
    }
    return tuple(made[name] for name in choice.names)


def codream(config: CodreamConfig) -> Method:
    """Return a run of `codream/1`; its middle is a third into the dream steps of a cycle."""
    learning = config.dream_steps / 2  # steps of a device take as long as so many sums

    def steps() -> Iterator[Step]:
        yield Step(COUNTING)
        yield Step(WARMING, learning)
        for _ in range(config.cycles):
            yield from [Step("dreaming together")] * config.dream_steps
            yield Step("labelling the dreams together")
            yield Step("learning from the dreams", learning, lesson=True)

    before = 2 + config.cycles // 2 * (config.dream_steps + 2)
    middle = before + config.dream_steps // 3 + 1
    lessons = tuple(range(config.cycles + 1))
    return Method("codream", config, tuple(steps()), middle, lessons, cyclic=True)


def moments(config: MomentsConfig, cycles: int) -> Method:
    """Return a run of `moments/1` beside baselines of so many cycles."""
    steps = (
        Step(WARMING, 8.0),
        Step(COUNTING),
        Step("summing means and covariances of each class"),
        Step("learning from what was drawn", 8.0 * cycles, lesson=True),
    )
    return Method("moments", config, steps, 2, (0, cycles), cyclic=False)
