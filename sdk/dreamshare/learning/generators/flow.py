"""`LatentFlowGenerator`: noise carried to pictures by a small net that knows class and words.

    weights = train_flow(public, FlowSettings(classes=10))       # dreamshare.learning.torch.flows
    weights.save("flow.npz")
    generator = LatentFlowGenerator(load_flow("flow.npz"))

Shape legend: M requests, L latent values, Q conditions (classes, then words), P pixels.

Rules:
- trained with torch, run with numpy: an aggregator needs no framework;
- latents are the public set's principal components, scaled to one; a straight path from noise to
  data (flow matching, Lipman et al. 2023), followed in `steps` steps of Euler's method;
- batches are filled up to `CHUNK`, so that every product has one shape: a picture does not depend
  on how many others are made, beyond rounding;
- a public set that holds a device's examples makes them part of the weights: use a disjoint split.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats
from dreamshare.learning.generators.base import Provenance, Request

CHUNK = 64
WAVES = 8
"""Sines and as many cosines that tell the net the time."""

LAYERS = ("first", "second", "third")


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """What a flow is like and how it is trained.

    Attributes:
        classes: K, >= 2.
        words: size of the attribute vocabulary it is told, 0 for none.
        latent: L, >= 1; at most the pixels and the public examples.
        width: of its two hidden layers, >= 1.
        steps: of Euler's method, >= 1.
        training_steps: optimiser steps, >= 0.
        batch: public examples of one, >= 2.
        learning_rate: > 0; falls to zero along a cosine.
        low, high: range of a picture's values.
        seed: of weights and batches, >= 0.
    """

    classes: int
    words: int = 0
    latent: int = 96
    width: int = 512
    steps: int = 20
    training_steps: int = 2000
    batch: int = 256
    learning_rate: float = 0.002
    low: float = 0.0
    high: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"classes": 2, "words": 0, "latent": 1, "width": 1, "steps": 1, "batch": 2}
        for name, value in (least | {"training_steps": 0, "seed": 0}).items():
            if getattr(self, name) < value:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be {value} or more")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(f"learning_rate is {self.learning_rate}; it must be > 0")
        if not self.low < self.high:
            raise ConfigError(f"low {self.low} must lie below high {self.high}")

    @property
    def conditions(self) -> int:
        """Q, what the net is told beside latents and time."""
        return self.classes + self.words


@dataclass(frozen=True, slots=True)
class FlowWeights:
    """A trained flow.

    Attributes:
        settings: it was made with.
        shape: (C, H, W) of a picture.
        mean_P: mean public picture.
        basis_LP: from latents to pixels, scales included.
        layers: weight (out, in) and bias (out,) of each of `LAYERS`.
        trained_on: digest of the public set.
    """

    settings: FlowSettings
    shape: tuple[int, int, int]
    mean_P: Floats
    basis_LP: Floats
    layers: tuple[tuple[Floats, Floats], ...]
    trained_on: str

    def __post_init__(self) -> None:
        s = self.settings
        sizes = (s.latent + s.conditions + 2 * WAVES, s.width, s.width, s.latent)
        wanted = [
            shape
            for entering, leaving in pairwise(sizes)
            for shape in ((leaving, entering), (leaving,))
        ]
        pixels = math.prod(self.shape)
        arrays = [array for layer in self.layers for array in layer]
        shapes = [array.shape for array in (self.mean_P, self.basis_LP, *arrays)]
        if shapes != [(pixels,), (s.latent, pixels), *wanted]:
            raise ConfigError("the flow's arrays do not fit its settings")
        if not all(np.isfinite(array).all() for array in (self.mean_P, self.basis_LP, *arrays)):
            raise ConfigError("the flow has weights that are not finite")

    def save(self, path: Path | str) -> None:
        """Write a NumPy file; raises OSError."""
        about = {"settings": asdict(self.settings), "shape": list(self.shape)}
        text = json.dumps(about | {"trained_on": self.trained_on}, sort_keys=True)
        first, second, third = self.layers
        with Path(path).open("wb") as file:
            np.savez(
                file,
                about=np.frombuffer(text.encode(), np.uint8),
                mean=self.mean_P,
                basis=self.basis_LP,
                first_weight=first[0],
                first_bias=first[1],
                second_weight=second[0],
                second_bias=second[1],
                third_weight=third[0],
                third_bias=third[1],
            )


def load_flow(path: Path | str) -> FlowWeights:
    """Return what `FlowWeights.save` wrote, read without pickle.

    Raises:
        ConfigError: there is no such file, or it is another one.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes().decode())
            arrays = {name: stored[name].astype(np.float32) for name in _NAMES}
        settings = FlowSettings(**about["settings"])
        channels, height, width = (int(size) for size in about["shape"])
        trained_on = str(about["trained_on"])
    except (OSError, ValueError, EOFError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} holds no flow ({error})") from None
    return FlowWeights(
        settings,
        (channels, height, width),
        arrays["mean"],
        arrays["basis"],
        tuple((arrays[f"{name}_weight"], arrays[f"{name}_bias"]) for name in LAYERS),
        trained_on,
    )


_NAMES = ("mean", "basis", *(f"{n}_{part}" for n in LAYERS for part in ("weight", "bias")))


class LatentFlowGenerator:
    """See the module's docstring.

    Args:
        weights: of the flow.
        digest: of their file; "" where there is none.
    """

    def __init__(self, weights: FlowWeights, digest: str = "") -> None:
        self._weights = weights
        self._digest = digest

    def generate(self, requests: Sequence[Request]) -> Floats:
        shape = self._weights.shape
        x_MP = np.zeros((len(requests), math.prod(shape)), np.float32)
        for start in range(0, len(requests), CHUNK):
            part = requests[start : start + CHUNK]
            x_MP[start : start + len(part)] = self._chunk(part)[: len(part)]
        return x_MP.reshape(len(requests), *shape)

    def info(self) -> Provenance:
        return Provenance("flow", self._digest, self._weights.trained_on)

    def _chunk(self, requests: Sequence[Request]) -> Floats:
        w, s = self._weights, self._weights.settings
        z_ML = np.zeros((CHUNK, s.latent), np.float32)
        told_MQ = np.zeros((CHUNK, s.conditions), np.float32)
        for i, request in enumerate(requests):
            if request.label >= s.classes or any(word >= s.words for word in request.words):
                raise ConfigError(
                    f"class {request.label} with words {request.words} is asked for; this flow "
                    f"knows {s.classes} classes and {s.words} words"
                )
            z_ML[i] = request.rng().standard_normal(s.latent)
            told_MQ[i, [request.label, *(s.classes + word for word in request.words)]] = 1.0
        for step in range(s.steps):
            time_MT = waves(np.full(CHUNK, step / s.steps, np.float32))
            moved_ML = self._velocity(np.concatenate([z_ML, told_MQ, time_MT], axis=1)) / s.steps
            z_ML += moved_ML.astype(np.float32)
        x_MP: Floats = np.clip(z_ML @ w.basis_LP + w.mean_P, s.low, s.high).astype(np.float32)
        return x_MP

    def _velocity(self, x_MI: Floats) -> Floats:
        for number, (weight, bias) in enumerate(self._weights.layers):
            x_MI = x_MI @ weight.T + bias
            if number + 1 < len(LAYERS):
                gate_MI = 1.0 / (1.0 + np.exp(-np.clip(x_MI, -60.0, 60.0)))  # SiLU, as torch has it
                x_MI = (x_MI * gate_MI).astype(np.float32)
        return x_MI


def waves(time_M: NDArray[np.float32]) -> Floats:
    """Return what tells the net the time, (M, 2 WAVES)."""
    angles_MW = time_M[:, None] * math.pi * np.arange(1, WAVES + 1, dtype=np.float32)
    return np.concatenate([np.sin(angles_MW), np.cos(angles_MW)], axis=1).astype(np.float32)
