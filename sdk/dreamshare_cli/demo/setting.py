"""What the demo trains: one place for the command, its devices and the benchmark beside it.

Rules:
- a run is a function of seed, devices and cycles, up to the random rounding of masked sums;
- every choice here was made on validation digits (`digits`), never on the test digits;
- every algorithm gives a device as many optimiser steps as the others do, and so do the baselines.
"""

from __future__ import annotations

from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.algorithms.moments import MomentsConfig
from dreamshare_cli.demo.digits import CLASSES, HIGH, LOW, SHAPE

ARCHITECTURES = ("VGG-like", "ResNet-like", "WideResNet-like", "MobileNet-like")


def architecture_of(device: int) -> str:
    """Return the architecture of the 0-based device: the four in turn."""
    return ARCHITECTURES[device % len(ARCHITECTURES)]


def codream_config(seed: int, cycles: int) -> CodreamConfig:
    """Return what the demo submits for `codream/1`; the baselines train by it, too."""
    return CodreamConfig(shape=SHAPE, classes=CLASSES, low=LOW, high=HIGH, seed=seed, cycles=cycles)


def moments_config(seed: int, cycles: int) -> MomentsConfig:
    """Return what the demo submits for `moments/1`: steps as of so many cycles of CoDream."""
    dreams = codream_config(seed, cycles)
    return MomentsConfig(
        shape=SHAPE,
        classes=CLASSES,
        low=LOW,
        high=HIGH,
        seed=seed,
        warm_up_epochs=dreams.warm_up_epochs,
        fit_steps=cycles * dreams.fit_steps,
        batch=dreams.local_batch + dreams.distillation_batch,
    )


def net_seed(seed: int, device: int) -> int:
    """Return the seed of the initial weights of the 0-based device."""
    return 1_000 * seed + device
