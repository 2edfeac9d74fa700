"""What the demo trains: one place for the command, its devices and the benchmark beside it.

Rules:
- a run is a function of seed, devices and cycles, up to the random rounding of masked sums;
- every choice here was made on validation digits (`digits`), never on the test digits.
"""

from __future__ import annotations

from dreamshare.algorithms.codream import CodreamConfig
from dreamshare_cli.demo.digits import CLASSES, HIGH, LOW, SHAPE

ARCHITECTURES = ("VGG-like", "ResNet-like", "WideResNet-like", "MobileNet-like")


def architecture_of(device: int) -> str:
    """Return the architecture of the 0-based device: the four in turn."""
    return ARCHITECTURES[device % len(ARCHITECTURES)]


def codream_config(seed: int, cycles: int) -> CodreamConfig:
    """Return what the demo submits."""
    return CodreamConfig(shape=SHAPE, classes=CLASSES, low=LOW, high=HIGH, seed=seed, cycles=cycles)


def net_seed(seed: int, device: int) -> int:
    """Return the seed of the initial weights of the 0-based device."""
    return 1_000 * seed + device
