"""Where a CoDream run stands, and how many sums it still needs.

Shape legend: B dreams, C channels, H height, W width, K classes, Z latent values.

Rules: a value, all of it public; a killed service resumes from its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.bounds import Bound
from dreamshare.algorithms.codream.config import CodreamConfig
from dreamshare.algorithms.evaluate import EVALUATE
from dreamshare.learning.plain import Trained
from dreamshare.payloads.dreams import Floats, Replay, ServerStep


class Stage(StrEnum):
    """What is wanted next; the names of the steps that travel.

    CONTEST is a DREAM with a student to differ from: it sums the student's cotangents, too.
    """

    COUNT = "count"
    WARM_UP = "warm_up"
    DREAM = "dream"
    CONTEST = "contest"
    LABEL = "label"
    ACQUIRE = "acquire"
    EVALUATE = EVALUATE
    DONE = "done"


@dataclass(frozen=True, slots=True)
class CodreamState:
    """Where a run stands; all of it public.

    Attributes:
        stage: what comes next.
        cycle: 0-based cycle that is under way.
        bound: clip of the next gradient.
        totals_K: examples of each class in the cohort (rounded masked sum); zeros before.
        x_BCHW: the cycle's dreams.
        labels_B: the class that each is to become.
        server: the optimiser on the dreams.
        replay: all dreams so far with their soft labels, the newest `config.replay`.
        targets_BK: soft labels of the cycle's dreams, once summed.
        meta: the generator that cycles share; empty in the direct form, as the next two.
        made_by: this cycle's working copy of it.
        latents: "z", the cycle's latents (B, Z).
        student: the aggregator's classifier; empty without one.
        strongest: largest RMS of a mean gradient in this cycle.
        dreamt: sums of gradients so far, over all cycles.
        clipped: largest share of clipped gradient coordinates in a round so far, 0 to 1.
        accuracies: masked mean accuracy at each evaluation, 0 to 1.
        loss: masked mean cross-entropy of the last evaluation, nats.
    """

    stage: Stage
    cycle: int
    bound: Bound
    totals_K: NDArray[np.float64]
    x_BCHW: Floats
    labels_B: NDArray[np.int64]
    server: ServerStep
    replay: Replay
    targets_BK: Floats
    meta: Trained
    made_by: Trained
    latents: Trained
    student: Trained
    strongest: float = 0.0
    dreamt: int = 0
    clipped: float = 0.0
    accuracies: tuple[float, ...] = ()
    loss: float = 0.0


def sums_left(config: CodreamConfig, state: CodreamState) -> int:
    """Return the most masked sums that the run may still need, the next one included."""
    c = config
    evaluations = c.cycles if c.evaluate == "cycle" else int(c.evaluate == "end")
    whole = 1 + c.cycles * (c.dream_steps + 1) + evaluations
    if state.stage is Stage.COUNT:
        return whole
    done = 1 + state.cycle * (c.dream_steps + 1) + len(state.accuracies)
    match state.stage:
        case Stage.DREAM | Stage.CONTEST:
            done += state.server.taken
        case Stage.LABEL:
            done += c.dream_steps
        case Stage.ACQUIRE | Stage.EVALUATE:
            done += c.dream_steps + 1
        case Stage.DONE:
            return 0
    return whole - done
