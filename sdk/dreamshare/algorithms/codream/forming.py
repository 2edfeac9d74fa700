"""How dreams begin and how a mean gradient moves them: everything after a sum of `dream`.

Shape legend: B dreams, C channels, H height, W width, K classes, Z latent values.

Rules:
- what was summed with weights is divided by the sum of the weights that came with it (`mass`);
- a dream is always what devices have seen: with 8 bits it is rounded when a cycle's last step is
  taken, and soft labels, memory and result hold the rounded one;
- the generator form fits generator and latents to the dreams that the server's step gives. One
  step of that with `server_optimizer` "sgd" is the gradient of the summed objective with respect to
  generator and latents, by the chain rule; more of them cost no byte.

Sources: Singh et al., "Co-Dream", AAAI 2025; Reptile, Nichol et al. 2018; Fang et al., AAAI 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dreamshare.algorithms.bounds import CLIPPED
from dreamshare.algorithms.codream.config import CodreamConfig
from dreamshare.algorithms.codream.state import CodreamState, Stage
from dreamshare.algorithms.codream.student import student_gradient
from dreamshare.algorithms.shares import over_mass
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Ints
from dreamshare.learning.plain import Trained, adam, generator
from dreamshare.learning.plain.nets import Chain
from dreamshare.learning.public import PublicSet, load_public
from dreamshare.payloads.dreams import (
    BETAS,
    Floats,
    ServerStep,
    prior_gradient,
    starting_dreams,
    starting_labels,
)
from dreamshare.payloads.pixels import packed, unpacked
from dreamshare.updates import Array

GENERATOR_STREAM = 2**32 + 2
"""Keeps the generator's random numbers apart from those of dreams."""

PICTURE_STREAM = 2**32 + 3
"""The same for the choice of pictures that dreams begin with."""


def generator_of(config: CodreamConfig) -> Chain:
    """Return the generator's layers."""
    inputs = config.latent + (config.classes if config.objective == "labels" else 0)
    return generator(config.shape, inputs, config.generator_width, config.low, config.high)


def first_generator(config: CodreamConfig) -> Trained:
    """Return the generator before the first cycle; empty in the direct form."""
    if config.form == "direct":
        return Trained.start({})
    rng = np.random.default_rng([config.seed, GENERATOR_STREAM])
    return Trained.start(generator_of(config).start(rng))


def begun(config: CodreamConfig, state: CodreamState, cycle: int) -> CodreamState:
    """Return the state at the first step of a cycle."""
    c = config
    present = np.flatnonzero(state.totals_K)
    opposed = c.adversarial not in ("none", "server_entropy") and cycle >= c.adversarial_from
    state = replace(
        state,
        stage=Stage.CONTEST if opposed else Stage.DREAM,
        cycle=cycle,
        labels_B=present[starting_labels(c.dreams, len(present))],
        targets_BK=np.zeros((0, c.classes), np.float32),
        strongest=0.0,
    )
    if c.start:
        x_BCHW = pictured(c, state.labels_B, cycle)
    elif c.form == "direct":
        x_BCHW = starting_dreams(c.seed, cycle, c.dreams, c.shape, c.spread)
    else:
        rng = np.random.default_rng([c.seed, cycle])
        z_BZ = rng.standard_normal((c.dreams, c.latent)).astype(np.float32)
        made_by, latents = Trained.start(state.meta.values), Trained.start({"z": z_BZ})
        state = replace(state, made_by=made_by, latents=latents)
        x_BCHW = _generated(c, state)
    return replace(state, x_BCHW=np.clip(x_BCHW, c.low, c.high), server=ServerStep.start(x_BCHW))


def start_of(config: CodreamConfig) -> PublicSet:
    """Return the set that dreams begin with.

    Raises:
        ConfigError: it is not there, is another one, or has other inputs or no classes.
    """
    found = load_public(config.start)
    if found.digest != config.start_set:
        raise ConfigError(f"start: {config.start} is not the set {config.start_set[:12]}...")
    if found.x_NCHW.shape[1:] != config.shape or found.y_N is None:
        raise ConfigError(f"start: {config.start} needs inputs {config.shape} with their classes")
    return found


def pictured(config: CodreamConfig, labels_B: Ints, cycle: int) -> Floats:
    """Return a picture of each dream's class, drawn from the public seed; ConfigError as above."""
    found = start_of(config)
    rng = np.random.default_rng([config.seed, cycle, PICTURE_STREAM])
    x_BCHW = np.zeros((len(labels_B), *config.shape), np.float32)
    for place, label in enumerate(labels_B.tolist()):
        own = np.flatnonzero(found.y_N == label)
        if len(own) == 0:
            raise ConfigError(f"start: {config.start} has no picture of class {label}")
        x_BCHW[place] = found.x_NCHW[own[rng.integers(len(own))]]
    return x_BCHW


def shown(config: CodreamConfig, x_BCHW: Floats) -> Floats:
    """Return the dreams as devices see them."""
    if config.dream_bits == 32:
        return x_BCHW
    return unpacked(packed(x_BCHW, config.low, config.high), config.low, config.high)


def moved(
    config: CodreamConfig, state: CodreamState, mean: Mapping[str, Array], survivors: int
) -> CodreamState:
    """Take the server's step on the mean gradient of those who answered."""
    c = config
    mass_B = mean["mass"][state.labels_B]
    gradient = over_mass(mean["gradient"], mass_B[:, None, None, None], survivors)
    share = max(0.0, float(mean[CLIPPED])) / gradient.size
    strength = float(np.sqrt(np.mean(np.square(gradient))))
    strongest = max(state.strongest, strength)
    state = replace(
        state,
        bound=state.bound.follow(gradient, share),
        clipped=max(state.clipped, share),
        strongest=strongest,
        dreamt=state.dreamt + 1,
    )
    total = gradient + prior_gradient(state.x_BCHW, c.smoothness, c.norm)
    if c.adversarial != "none" and state.cycle >= c.adversarial_from:
        cotangent_BK = None
        if state.stage is Stage.CONTEST:
            teachers_BK = over_mass(mean["cotangent"], mass_B[:, None], survivors)
            cotangent_BK = teachers_BK.astype(np.float32)
        x_BCHW = shown(c, state.x_BCHW)
        total = total + student_gradient(c, state.student, x_BCHW, cotangent_BK)
    rate = c.local_rate if c.server_optimizer == "avg" else c.dream_rate
    x_BCHW, server = state.server.apply(
        state.x_BCHW, total.astype(np.float32), rate, c.server_optimizer
    )
    state = replace(state, server=server)
    if c.form == "direct":
        state = replace(state, x_BCHW=np.clip(x_BCHW, c.low, c.high))
    else:
        state = _fitted(c, state, x_BCHW)
    calm = c.stop_share > 0 and strength <= c.stop_share * strongest
    return _formed(c, state) if server.taken == c.dream_steps or calm else state


def _formed(config: CodreamConfig, state: CodreamState) -> CodreamState:
    """Return the state with finished dreams, and the kept generator moved towards this cycle's."""
    state = replace(state, stage=Stage.LABEL, x_BCHW=shown(config, state.x_BCHW))
    if config.form == "direct":
        return state
    apart = {name: kept - state.made_by.values[name] for name, kept in state.meta.values.items()}
    return replace(state, meta=adam(state.meta, apart, config.meta_rate, BETAS))


def _fitted(config: CodreamConfig, state: CodreamState, wanted_BCHW: Floats) -> CodreamState:
    """Return the state after `generator_steps` towards the wanted dreams."""
    net, made_by, latents = generator_of(config), state.made_by, state.latents
    for _ in range(config.generator_steps):
        x_BCHW, pull = net.forward(made_by.values, _inputs(config, state, latents))
        to_inputs, to_net = pull((x_BCHW - wanted_BCHW).astype(np.float32))
        made_by = adam(made_by, to_net, config.generator_rate, BETAS)
        to_z = {"z": to_inputs[:, : config.latent]}
        latents = adam(latents, to_z, config.latent_rate, BETAS)
    state = replace(state, made_by=made_by, latents=latents)
    return replace(state, x_BCHW=_generated(config, state))


def _generated(config: CodreamConfig, state: CodreamState) -> Floats:
    inputs = _inputs(config, state, state.latents)
    return np.ascontiguousarray(generator_of(config).forward(state.made_by.values, inputs)[0])


def _inputs(config: CodreamConfig, state: CodreamState, latents: Trained) -> Floats:
    """Return latents, with the class of each dream where dreams have one."""
    z_BZ = latents.values["z"]
    if config.objective != "labels":
        return z_BZ
    onehot_BK = state.labels_B[:, None] == np.arange(config.classes)
    return np.concatenate([z_BZ, onehot_BK.astype(np.float32)], axis=1)
