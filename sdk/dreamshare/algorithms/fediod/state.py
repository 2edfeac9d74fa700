"""Where a FedIOD run stands, and how many sums it still needs.

Shape legend: B images of a step (of logits: their rows), N images kept, C channels, H height, W
width, K classes.

Rules: a value, all of it public; a killed service resumes from its bytes. No device's class counts
are in it: only their sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.bounds import Bound
from dreamshare.algorithms.evaluate import EVALUATE
from dreamshare.algorithms.fediod.config import FedIODConfig
from dreamshare.learning.plain import Trained
from dreamshare.payloads.dreams import Floats
from dreamshare.updates import PublicArray


class Stage(StrEnum):
    """What is wanted next; the names of the steps that travel."""

    COUNT = "count"
    WARM_UP = "warm_up"
    JUDGE = "judge"
    ANSWER = "answer"
    PULL = "pull"
    LABEL = "label"
    EVALUATE = EVALUATE
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Lessons:
    """Labelled images, oldest first.

    Attributes:
        x_NCHW: images as devices saw them.
        logits_NK: the ensemble's; of pixels (N, H, W, K).
    """

    x_NCHW: Floats
    logits_NK: Floats

    def add(self, x_BCHW: Floats, logits_BK: Floats, limit: int) -> Lessons:
        """Return these with newer ones at the end, cut to the newest `limit`.

        `logits_BK` are rows: with pixels, as many for each image.
        """
        shaped = logits_BK.reshape(len(x_BCHW), *self.logits_NK.shape[1:])
        return Lessons(
            np.concatenate([self.x_NCHW, x_BCHW])[-limit:],
            np.concatenate([self.logits_NK, shaped])[-limit:],
        )


@dataclass(frozen=True, slots=True)
class Leg:
    """What the first leg of a generator's step leaves for the second.

    Attributes:
        told: the public tensors that devices need: "pull", and "mean", "logs", "share".
        student_BK: gradient of the loss with respect to the student's logits.
    """

    told: Mapping[str, PublicArray]
    student_BK: Floats


@dataclass(frozen=True, slots=True)
class FedIODState:
    """Where a run stands.

    Attributes:
        stage: what comes next.
        cycle: 0-based cycle that is under way.
        steps: of the generator, taken in this cycle.
        labelled: fresh batches labelled in this cycle.
        bound: clip of the next image gradient.
        totals_K: examples or pixels of each class in the cohort (rounded masked sum); else zeros.
        x_BCHW: images of the step, as devices see them.
        leg: between two legs of a step.
        generator: and its optimiser.
        student: and its optimiser.
        lessons: labelled images, the newest `config.replay`.
        clipped: largest share of clipped gradient coordinates in a round so far, 0 to 1.
        accuracies: the student's masked accuracy at each evaluation, 0 to 1.
        loss: its masked cross-entropy at the last evaluation, nats.
        mean_iou: its masked mean intersection over union there, 0 to 1; 0 without pixels.
    """

    stage: Stage
    cycle: int
    steps: int
    labelled: int
    bound: Bound
    totals_K: NDArray[np.float64]
    x_BCHW: Floats
    leg: Leg
    generator: Trained
    student: Trained
    lessons: Lessons
    clipped: float = 0.0
    accuracies: tuple[float, ...] = ()
    loss: float = 0.0
    mean_iou: float = 0.0


def sums_left(config: FedIODConfig, state: FedIODState) -> int:
    """Return the masked sums that the run still needs, the next one included."""
    c = config
    evaluations = c.cycles if c.evaluate == "cycle" else int(c.evaluate == "end")
    a_cycle = 2 * c.generator_steps + c.labels
    whole = 1 + c.cycles * a_cycle + evaluations
    if state.stage is Stage.COUNT:
        return whole
    if state.stage is Stage.DONE:
        return 0
    done = 1 + state.cycle * a_cycle + 2 * state.steps + state.labelled + len(state.accuracies)
    return whole - done - int(state.stage is Stage.PULL)
