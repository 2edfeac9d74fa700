"""Trains the flow of `LatentFlowGenerator` on a public set.

    weights = train_flow(public, FlowSettings(classes=10, training_steps=2000))

Shape legend: N public pictures, P pixels, L latent values, Q conditions, B batch.

Rules:
- the public set must be disjoint from the devices' data, or the weights hold what they keep;
- the same set and settings give the same weights on the same machine: nothing global is seeded.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dreamshare.errors import ConfigError
from dreamshare.learning.generators.flow import WAVES, FlowSettings, FlowWeights, waves
from dreamshare.learning.public import PublicSet
from dreamshare.learning.torch.optimizers import Optimizer
from dreamshare.updates import PublicArray


def train_flow(
    public: PublicSet, settings: FlowSettings, words_NG: PublicArray | None = None
) -> FlowWeights:
    """Return a flow that was trained on public pictures.

    Args:
        public: pictures with their classes.
        settings: of flow and training.
        words_NG: places of each picture's words in the attribute vocabulary; needed where
            `settings.words` is above 0.

    Raises:
        ConfigError: the set has no classes or too few pictures, or words are missing or unknown.
    """
    s = settings
    told_NQ = _conditions(public, s, words_NG)
    count, *size = public.x_NCHW.shape
    flat_NP = public.x_NCHW.reshape(count, -1).astype(np.float64)
    if len(size) != 3 or s.latent > min(flat_NP.shape):
        raise ConfigError(f"latent is {s.latent}; the set has {count} pictures of shape {size}")
    mean_P = flat_NP.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(flat_NP - mean_P, rowvar=False, bias=True))
    chosen = np.argsort(values)[::-1][: s.latent]
    scale_L = np.sqrt(np.maximum(values[chosen], 1e-8))
    basis_LP = (vectors[:, chosen] * scale_L).T
    latent_NL = (flat_NP - mean_P) @ (vectors[:, chosen] / scale_L)
    net = _trained(latent_NL.astype(np.float32), told_NQ, s)
    layers = tuple(
        (each.weight.detach().numpy().copy(), each.bias.detach().numpy().copy())
        for each in net
        if isinstance(each, nn.Linear)
    )
    channels, height, width = size
    return FlowWeights(
        s,
        (channels, height, width),
        mean_P.astype(np.float32),
        basis_LP.astype(np.float32),
        layers,
        public.digest,
    )


def _conditions(
    public: PublicSet, s: FlowSettings, words_NG: PublicArray | None
) -> NDArray[np.float32]:
    if public.y_N is None or (public.y_N >= s.classes).any():
        raise ConfigError(f"a flow is trained on pictures with one of {s.classes} classes each")
    told_NQ = np.zeros((len(public), s.conditions), np.float32)
    told_NQ[np.arange(len(public)), public.y_N] = 1.0
    if (words_NG is None) != (s.words == 0):
        raise ConfigError("words_NG goes with settings.words > 0, and only with them")
    if words_NG is not None:
        if len(words_NG) != len(public) or ((words_NG < 0) | (words_NG >= s.words)).any():
            raise ConfigError(f"words_NG holds words from 0 to {s.words - 1}, a row per picture")
        rows_NG = np.repeat(np.arange(len(public))[:, None], words_NG.shape[1], axis=1)
        told_NQ[rows_NG, s.classes + words_NG.astype(np.int64)] = 1.0
    return told_NQ


def _trained(
    latent_NL: NDArray[np.float32], told_NQ: NDArray[np.float32], s: FlowSettings
) -> nn.Sequential:
    """Return the net after training: mean squared error of the velocity from noise to data."""
    rng = np.random.default_rng(s.seed)
    net = _net(s, torch.Generator().manual_seed(s.seed))
    optimizer = Optimizer("adam", net.parameters())
    for step in range(s.training_steps):
        drawn = rng.integers(0, len(latent_NL), s.batch)
        noise_BL = rng.standard_normal((s.batch, s.latent), np.float32)
        time_B = rng.random(s.batch, np.float32)
        data_BL = latent_NL[drawn]
        at_BL = (1 - time_B[:, None]) * noise_BL + time_B[:, None] * data_BL
        seen = _tensor(np.concatenate([at_BL, told_NQ[drawn], waves(time_B)], axis=1))
        loss = torch.mean((net(seen) - _tensor(data_BL - noise_BL)) ** 2)
        optimizer.clear()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(s.learning_rate * 0.5 * (1 + math.cos(math.pi * step / s.training_steps)))
    return net


def _net(s: FlowSettings, generator: torch.Generator) -> nn.Sequential:
    sizes = (s.latent + s.conditions + 2 * WAVES, s.width, s.width, s.latent)
    pairs = tuple(pairwise(sizes))
    linear = [nn.Linear(*pair, device="meta").to_empty(device="cpu") for pair in pairs]
    with torch.no_grad():
        for layer in linear:
            bound = 1 / math.sqrt(layer.in_features)
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
    return nn.Sequential(linear[0], nn.SiLU(), linear[1], nn.SiLU(), linear[2])


def _tensor(array: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
