"""Nets made of layers: a generator of dreams, classifiers of images and pixels, a discriminator.

Shape legend: N batch, Z latent values, C channels, H height, W width, K classes. Images go in and
out as NCHW, as everywhere else; inside they are NHWC.

Rules:
- whose a net is, and who may see its parameters, is a matter of the algorithm that uses it;
- a net is a function of its parameters and its input; nothing is kept between calls;
- first parameters come from a public seed, so anybody can repeat them.

Source: the generator's order of layers follows Fang et al., AAAI 2022 (Fast-Datafree), which the
fast form of CoDream builds on; it is narrower and ends in a tanh over the pixels' range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dreamshare.learning.plain.layers import (
    Beside,
    Between,
    Convolution,
    Doubled,
    Floats,
    Halved,
    Layer,
    Leaky,
    Linear,
    Norm,
    Rows,
    Shaped,
)

BATCH, ALONE = (0, 1, 2), (1, 2, 3)

NetPull = Callable[[Floats], tuple[Floats, dict[str, Floats]]]
"""From d loss / d output to d loss / d input and, by name, d loss / d parameters."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Layers one after the other; a parameter is named "<number of its layer>.<name>".

    Attributes:
        layers: in order.
        images_in: the input is NCHW.
        images_out: the output is NCHW.
    """

    layers: tuple[Layer, ...]
    images_in: bool = False
    images_out: bool = False

    def start(self, rng: np.random.Generator) -> dict[str, Floats]:
        """Return first parameters."""
        return {
            f"{number}.{name}": array
            for number, layer in enumerate(self.layers)
            for name, array in layer.start(rng).items()
        }

    def forward(self, parameters: Mapping[str, Floats], x: Floats) -> tuple[Floats, NetPull]:
        """Return the output and its pull."""
        pulls = []
        y = x.transpose(0, 2, 3, 1) if self.images_in else x
        for number, layer in enumerate(self.layers):
            start = f"{number}."
            own = {n[len(start) :]: a for n, a in parameters.items() if n.startswith(start)}
            y, layer_pull = layer.forward(own, y)
            pulls.append(layer_pull)

        def pull(gradient: Floats) -> tuple[Floats, dict[str, Floats]]:
            back = gradient.transpose(0, 2, 3, 1) if self.images_out else gradient
            found: dict[str, Floats] = {}
            for number in range(len(pulls) - 1, -1, -1):
                back, own = pulls[number](back)
                found |= {f"{number}.{name}": array for name, array in own.items()}
            return (back.transpose(0, 3, 1, 2) if self.images_in else back), found

        return (y.transpose(0, 3, 1, 2) if self.images_out else y), pull


def generator(
    shape: tuple[int, int, int], latent: int, width: int, low: float, high: float
) -> Chain:
    """Return the net from latents (N, Z) to dreams (N, C, H, W) within [low, high]."""
    channels, height, columns = shape
    middle = (-(-height // 2), -(-columns // 2))
    first = (-(-middle[0] // 2), -(-middle[1] // 2))
    layers: tuple[Layer, ...] = (
        Linear(latent, first[0] * first[1] * 2 * width),
        Shaped((*first, 2 * width)),
        Norm(2 * width, BATCH),
        Doubled(*middle),
        Convolution(2 * width, 2 * width),
        Norm(2 * width, BATCH),
        Leaky(),
        Doubled(height, columns),
        Convolution(2 * width, width),
        Norm(width, BATCH),
        Leaky(),
        Convolution(width, channels),
        Between(low, high),
    )
    return Chain(layers, images_out=True)


def classifier(shape: tuple[int, int, int], classes: int, width: int) -> Chain:
    """Return the net from images (N, C, H, W) to logits (N, K)."""
    channels, height, columns = shape
    layers: list[Layer] = []
    for outputs in (width, 2 * width):
        layers += [Convolution(channels, outputs), Norm(outputs, ALONE), Leaky()]
        if min(height, columns) >= 2:
            layers.append(Halved())
            height, columns = height // 2, columns // 2
        channels = outputs
    layers += [Shaped((-1,)), Linear(height * columns * channels, classes)]
    return Chain(tuple(layers), images_in=True)


def segmenter(shape: tuple[int, int, int], classes: int, width: int) -> Chain:
    """Return the net from images (N, C, H, W) to logits of every pixel (N H W, K).

    Where sizes are even, twice at most, half the resolution is looked at beside the whole one
    (Ronneberger et al. 2015, U-Net, much smaller).
    """
    channels, height, columns = shape
    layers = _looked(channels, width, height, columns, depth=2)
    return Chain((*layers, Convolution(width, classes), Rows()), images_in=True)


def _looked(inputs: int, width: int, height: int, columns: int, depth: int) -> tuple[Layer, ...]:
    """Return layers from `inputs` to `width` channels of the same size."""
    first = (Convolution(inputs, width), Norm(width, ALONE), Leaky())
    if depth == 0 or height % 2 or columns % 2:
        return first
    inner = _looked(width, 2 * width, height // 2, columns // 2, depth - 1)
    coarse = Beside(Chain((Halved(), *inner, Doubled(height, columns))))
    return (*first, coarse, Convolution(3 * width, width), Norm(width, ALONE), Leaky())


def discriminator(shape: tuple[int, int, int], width: int) -> Chain:
    """Return the net from images (N, C, H, W) to a logit for each patch (N, rows, columns, 1).

    A logit is positive where its patch, 18 pixels wide, looks like one of a real image: in larger
    images that is textures and parts rather than whole examples.
    """
    channels, height, columns = shape
    layers: list[Layer] = []
    for number, outputs in enumerate((width, 2 * width)):
        layers.append(Convolution(channels, outputs))
        if number:
            layers.append(Norm(outputs, ALONE))
        layers.append(Leaky())
        if min(height, columns) >= 2:
            layers.append(Halved())
            height, columns = height // 2, columns // 2
        channels = outputs
    return Chain((*layers, Convolution(channels, 1)), images_in=True)
