"""Crews and configs for tests of `generative/1`, on a toy's blobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dreamshare.algorithms.generative import GenerativeConfig
from dreamshare.learning.base import Batch, Data, Learner
from dreamshare.learning.captioned import CaptionedData
from dreamshare.learning.data import ArrayData
from dreamshare.learning.generators import FlowSettings, Moments, Provenance, Request, digest_of
from dreamshare.learning.torch.flows import train_flow
from dreamshare.payloads.slots import Caption
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_edge.policy import Policy
from tests.algorithms.oracle import Device
from tests.algorithms.sharing import COUNTS, seeds
from tests.algorithms.toy import SHAPE, toy_data

LOW, HIGH = -2.0, 3.0

TEXT = {
    "message": "counts",
    "captions": "text",
    "generator": "diffusers",
    "weights": "somewhere",
    "digest": "0" * 64,
    "names": ("shoe", "shirt", "bag"),
    "template": "a photo of a {name}",
    "text_least": 1,
    "text_slots": 64,
    "text_bytes": 48,
}
"""What a run with captions in words changes."""


class Painter:
    """A generator that keeps what it was asked for."""

    def __init__(self) -> None:
        self.requests: tuple[Request, ...] = ()

    def generate(self, requests: Sequence[Request]) -> np.ndarray:
        self.requests = tuple(requests)
        return np.zeros((len(requests), *SHAPE), np.float32)

    def info(self) -> Provenance:
        return Provenance("toy")


def let(data: Data) -> np.ndarray:
    """Return how many examples of each class an owner's default policy lets into sums."""
    counts_K = data.class_counts(3)
    return np.where(counts_K >= Policy().least_class_count, counts_K, 0)


def captioned(device: Device, texts: Sequence[str], number: int = 0) -> Device:
    """The device, whose pictures of each class have these captions; "{name}" is the class."""
    said = [
        Caption(label, text.replace("{name}", TEXT["names"][label]))
        for label in range(3)
        for text in texts
    ]
    draw = SeededEntropy(bytes([number + 1]) * 32).draw
    return Device(device.learner, CaptionedData(device.data, said, draw), device.rng)


def generative(**changes) -> GenerativeConfig:
    base = {
        "shape": SHAPE,
        "classes": 3,
        "low": LOW,
        "high": HIGH,
        "images": 60,
        "frequencies": 2,
        "described": 64,
        "max_examples": 64,
        "warm_up_epochs": 1,
        "warm_up_rate": 0.1,
        "fit_steps": 10,
        "local_batch": 8,
        "synthetic_batch": 16,
        "optimizer": "sgd",
        "learning_rate": 0.1,
    }
    return GenerativeConfig(**(base | changes))


def moments_file(folder: Path) -> dict[str, str]:
    """Public moments, and how a config names them."""
    path = folder / "moments.npz"
    Moments.of_public(seeds(60, 91), 3, 2).save(path)
    return {"weights": str(path), "digest": digest_of(path)}


def flow_file(folder: Path, words: int = 0) -> dict[str, str]:
    """A flow of public blobs, and how a config names it."""
    path = folder / f"flow{words}.npz"
    public = seeds(90, 92)
    settings = FlowSettings(
        3,
        words=words,
        latent=4,
        width=32,
        steps=8,
        training_steps=200,
        batch=32,
        low=LOW,
        high=HIGH,
    )
    words_NG = np.zeros((90, 1), np.int64) if words else None
    train_flow(public, settings, words_NG).save(path)
    return {"weights": str(path), "digest": digest_of(path), "generator": "flow"}


def describers(
    learner: Callable[[int], Learner], devices: int = 3, counts: Sequence[tuple[int, ...]] = COUNTS
) -> list[Device]:
    return [
        Device(learner(i + 5), toy_data(i, counts[i % len(counts)]), np.random.default_rng(i))
        for i in range(devices)
    ]


def dealt(x_NCHW: np.ndarray, y_N: np.ndarray, owners_N: np.ndarray) -> list[ArrayData]:
    """The same examples, however they are spread over devices."""
    return [
        ArrayData(x_NCHW[owners_N == i], y_N[owners_N == i], Batch(x_NCHW[:3], y_N[:3]))
        for i in range(int(owners_N.max()) + 1)
    ]
