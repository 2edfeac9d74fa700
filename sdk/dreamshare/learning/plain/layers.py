"""Layers in numpy, each with its own backward pass.

Shape legend: N batch, H height, W width, C channels in, D channels out. Images are NHWC here: a
convolution is then nine products of matrices.

Rules:
- a layer is a frozen value that holds no parameters; they come in by name, so that a state can
  hold them and a checkpoint store them;
- `forward` returns the output and a function that pulls a gradient back: from d loss / d output to
  (d loss / d input, d loss / d parameters by name);
- float32 in, float32 out; nothing here draws random numbers but `start`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Parameters = Mapping[str, Floats]
Pull = Callable[[Floats], tuple[Floats, dict[str, Floats]]]
"""From a gradient with respect to an output to those with respect to input and parameters."""

EPSILON = np.float32(1e-5)
SHIFTS = tuple((i, j) for i in range(3) for j in range(3))


class Layer(Protocol):
    """One step of a chain; see the module's rules."""

    def start(self, rng: np.random.Generator) -> dict[str, Floats]:
        """Return first parameters by name."""
        ...

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        """Return the output and its pull."""
        ...


class Fixed:
    """What layers without parameters share."""

    __slots__ = ()

    def start(self, rng: np.random.Generator) -> dict[str, Floats]:
        return {}


@dataclass(frozen=True, slots=True)
class Linear:
    """y = x w + b for x (N, inputs)."""

    inputs: int
    outputs: int

    def start(self, rng: np.random.Generator) -> dict[str, Floats]:
        spread = math.sqrt(2.0 / self.inputs)
        weight = rng.normal(0.0, spread, (self.inputs, self.outputs)).astype(np.float32)
        return {"weight": weight, "bias": np.zeros(self.outputs, np.float32)}

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        weight = own["weight"]

        def pull(gradient: Floats) -> tuple[Floats, dict[str, Floats]]:
            found = {"weight": x.T @ gradient, "bias": gradient.sum(axis=0)}
            return gradient @ weight.T, found

        return x @ weight + own["bias"], pull


@dataclass(frozen=True, slots=True)
class Convolution:
    """3x3, zeros around: (N, H, W, C) to (N, H, W, D), over `step` in H and W, rounded up."""

    inputs: int
    outputs: int
    step: int = 1

    def start(self, rng: np.random.Generator) -> dict[str, Floats]:
        spread = math.sqrt(2.0 / (9 * self.inputs))
        size = (3, 3, self.inputs, self.outputs)
        weight = rng.normal(0.0, spread, size).astype(np.float32)
        return {"weight": weight, "bias": np.zeros(self.outputs, np.float32)}

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        weight = own["weight"]
        _, height, width, _ = x.shape
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        step = self.step
        size = (len(x), -(-height // step), -(-width // step), self.outputs)
        y = np.broadcast_to(own["bias"], size).copy()
        for i, j in SHIFTS:
            y += padded[:, i : i + height : step, j : j + width : step] @ weight[i, j]

        def pull(gradient: Floats) -> tuple[Floats, dict[str, Floats]]:
            back, to_weight = np.zeros_like(padded), np.empty_like(weight)
            flat = gradient.reshape(-1, self.outputs)
            for i, j in SHIFTS:
                here = (slice(None), slice(i, i + height, step), slice(j, j + width, step))
                to_weight[i, j] = padded[here].reshape(-1, self.inputs).T @ flat
                back[here] += gradient @ weight[i, j].T
            inner = back[:, 1:-1, 1:-1]
            return inner, {"weight": to_weight, "bias": flat.sum(axis=0)}

        return y, pull


@dataclass(frozen=True, slots=True)
class Norm:
    """Zero mean and unit variance over `axes`, then a scale and a shift for each channel.

    Attributes:
        channels: C.
        axes: (0, 1, 2) takes the statistics of a batch (BatchNorm, for a generator whose batch is
            the one that counts), (1, 2, 3) those of each image alone (for a classifier).
    """

    channels: int
    axes: tuple[int, ...]

    def start(self, rng: np.random.Generator) -> dict[str, Floats]:
        return {
            "scale": np.ones(self.channels, np.float32),
            "shift": np.zeros(self.channels, np.float32),
        }

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        scale, axes = own["scale"], self.axes
        centred = x - x.mean(axis=axes, keepdims=True)
        inverse = 1.0 / np.sqrt(np.square(centred).mean(axis=axes, keepdims=True) + EPSILON)
        plain: Floats = (centred * inverse).astype(np.float32)

        def pull(gradient: Floats) -> tuple[Floats, dict[str, Floats]]:
            inner = gradient * scale
            mean = inner.mean(axis=axes, keepdims=True)
            along = (inner * plain).mean(axis=axes, keepdims=True)
            back: Floats = (inverse * (inner - mean - plain * along)).astype(np.float32)
            found = {
                "scale": (gradient * plain).sum(axis=(0, 1, 2)),
                "shift": gradient.sum(axis=(0, 1, 2)),
            }
            return back, found

        return plain * scale + own["shift"], pull


@dataclass(frozen=True, slots=True)
class Leaky(Fixed):
    """x where positive, 0.2 x elsewhere."""

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        slope = np.where(x > 0, np.float32(1.0), np.float32(0.2))
        return x * slope, lambda gradient: (gradient * slope, {})


@dataclass(frozen=True, slots=True)
class Shaped(Fixed):
    """(N, ...) to (N, *shape); (-1,) flattens."""

    shape: tuple[int, ...]

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        before = x.shape
        return x.reshape(len(x), *self.shape), lambda gradient: (gradient.reshape(before), {})


@dataclass(frozen=True, slots=True)
class Doubled(Fixed):
    """Every pixel becomes 2x2, then the result is cut to (height, width)."""

    height: int
    width: int

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        count, rows, columns, channels = x.shape
        y = x.repeat(2, axis=1).repeat(2, axis=2)[:, : self.height, : self.width]

        def pull(gradient: Floats) -> tuple[Floats, dict[str, Floats]]:
            whole = np.zeros((count, 2 * rows, 2 * columns, channels), np.float32)
            whole[:, : self.height, : self.width] = gradient
            split = whole.reshape(count, rows, 2, columns, 2, channels)
            return split.sum(axis=(2, 4)), {}

        return y, pull


@dataclass(frozen=True, slots=True)
class Halved(Fixed):
    """The mean of every 2x2 pixels; an odd last row or column is left out."""

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        count, height, width, channels = x.shape
        rows, columns = height // 2, width // 2
        even = x[:, : 2 * rows, : 2 * columns]
        y = even.reshape(count, rows, 2, columns, 2, channels).mean(axis=(2, 4))

        def pull(gradient: Floats) -> tuple[Floats, dict[str, Floats]]:
            back = np.zeros_like(x)
            quarter = (gradient * np.float32(0.25)).repeat(2, axis=1).repeat(2, axis=2)
            back[:, : 2 * rows, : 2 * columns] = quarter
            return back, {}

        return y, pull


@dataclass(frozen=True, slots=True)
class Gridded(Fixed):
    """The means of `rows` by `columns` fields of about one size, which may share pixels."""

    rows: int
    columns: int

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        down, along = _fields(self.rows, x.shape[1]), _fields(self.columns, x.shape[2])
        y = np.einsum("rh,nhwc,sw->nrsc", down, x, along, optimize=True)

        def pull(gradient: Floats) -> tuple[Floats, dict[str, Floats]]:
            back = np.einsum("rh,nrsc,sw->nhwc", down, gradient, along, optimize=True)
            return np.asarray(back, np.float32), {}

        return np.asarray(y, np.float32), pull


@dataclass(frozen=True, slots=True)
class Rows(Fixed):
    """(N, H, W, K) to (N H W, K): pixels become entries of the batch."""

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        before = x.shape
        return x.reshape(-1, before[-1]), lambda gradient: (gradient.reshape(before), {})


@dataclass(frozen=True, slots=True)
class Beside:
    """Channels of the input, then those that `inner` makes of it."""

    inner: Layer

    def start(self, rng: np.random.Generator) -> dict[str, Floats]:
        return self.inner.start(rng)

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        made, inner_pull = self.inner.forward(own, x)
        channels = x.shape[-1]

        def pull(gradient: Floats) -> tuple[Floats, dict[str, Floats]]:
            back, found = inner_pull(gradient[..., channels:])
            return gradient[..., :channels] + back, found

        return np.concatenate([x, made], axis=-1), pull


@dataclass(frozen=True, slots=True)
class Between(Fixed):
    """low + (high - low) * (1 + tanh x) / 2, smooth and within the range of the pixels."""

    low: float
    high: float

    def forward(self, own: Parameters, x: Floats) -> tuple[Floats, Pull]:
        half = np.float32((self.high - self.low) / 2)
        bent = np.tanh(x)
        y = np.float32(self.low) + half * (1 + bent)
        return y, lambda gradient: (gradient * half * (1 - bent * bent), {})


def _fields(count: int, length: int) -> Floats:
    """Return weights (count, length) of means over stretches that cover a line."""
    weights = np.zeros((count, length), np.float32)
    for place in range(count):
        first, last = place * length // count, -(-(place + 1) * length // count)
        weights[place, first:last] = 1.0 / (last - first)
    return weights
