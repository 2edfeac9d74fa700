"""A device's discriminator: what tells patches of its real images from those of generated ones.

Shape legend: B images, C channels, H height, W width.

Rules:
- it is the device's own: made and trained here in numpy beside the model, whatever that runs on; it
  stays in the learner's memory and is a part of its snapshot. None of it leaves the device;
- it trains on a Tell; a sum only reads it, so that a round which is redone gives the same answer;
- losses are means over patches, so that a weight does not depend on the size of an image.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dreamshare.algorithms.fediod.config import FedIODConfig
from dreamshare.learning.base import Data, Floats, Remembers
from dreamshare.learning.plain import Trained, adam, discriminator
from dreamshare.learning.plain.nets import Chain
from dreamshare.updates import PublicArray

MEMORY = "fediod.judge."
TAKEN = f"{MEMORY}taken"
PARTS = ("values", "first", "second")
BETAS = (0.5, 0.999)


def judge_of(config: FedIODConfig) -> Chain:
    """Return the discriminator's layers."""
    return discriminator(config.shape, config.judge_width)


def remembered(config: FedIODConfig, learner: Remembers) -> Trained:
    """Return the device's discriminator; a new one, from the public seed, where none fits."""
    fresh = Trained.start(judge_of(config).start(np.random.default_rng(config.seed)))
    memory = learner.memory()
    parts: list[dict[str, Floats]] = []
    for part in PARTS:
        named = {name: memory.get(f"{MEMORY}{part}.{name}") for name in fresh.values}
        parts.append(
            {
                name: array.astype(np.float32, copy=False)
                for name, array in named.items()
                if array is not None and array.shape == fresh.values[name].shape
            }
        )
    if TAKEN not in memory or any(len(part) < len(fresh.values) for part in parts):
        return fresh
    values, first, second = parts
    return Trained(values, first, second, int(memory[TAKEN][0]))


def forget(learner: Remembers) -> None:
    """Drop the discriminator of an earlier run: its images were others."""
    learner.remember(_others(learner))


def judge(
    config: FedIODConfig, x_BCHW: Floats, learner: Remembers, data: Data, rng: np.random.Generator
) -> None:
    """Train the discriminator on these images against real ones, and remember it."""
    net, trained = judge_of(config), remembered(config, learner)
    real = data.batches(rng, config.judge_batch)
    for _ in range(config.judge_steps):
        trained = adam(
            trained,
            _gradients(net, trained.values, next(real).x_NCHW, x_BCHW),
            config.judge_rate,
            BETAS,
        )
    kept = _others(learner)
    for part, arrays in zip(PARTS, (trained.values, trained.first, trained.second), strict=True):
        kept |= {f"{MEMORY}{part}.{name}": array for name, array in arrays.items()}
    learner.remember(kept | {TAKEN: np.array([trained.taken], np.int64)})


def realism(config: FedIODConfig, x_BCHW: Floats, learner: Remembers) -> Floats:
    """Return the gradient, with respect to images, of their loss of being taken for real ones.

    Per image: the mean over patches of softplus(-logit).
    """
    patches, pull = judge_of(config).forward(remembered(config, learner).values, x_BCHW)
    return pull(-_sigmoid(-patches) / np.float32(patches[0].size))[0]


def _gradients(
    net: Chain, values: Mapping[str, Floats], real_NCHW: Floats, made_BCHW: Floats
) -> dict[str, Floats]:
    """Return the gradients of half the mean losses on real and on generated patches."""
    real, pull_real = net.forward(values, real_NCHW)
    made, pull_made = net.forward(values, made_BCHW)
    _, of_real = pull_real(-_sigmoid(-real) / np.float32(2 * real.size))
    _, of_made = pull_made(_sigmoid(made) / np.float32(2 * made.size))
    return {name: of_real[name] + of_made[name] for name in of_real}


def _sigmoid(x: Floats) -> Floats:
    half = np.float32(0.5)
    result: Floats = half * (1 + np.tanh(half * x))
    return result


def _others(learner: Remembers) -> dict[str, PublicArray]:
    """Return what else is remembered."""
    return {n: array for n, array in learner.memory().items() if not n.startswith(MEMORY)}
