"""The aggregator's side of `fediod/1`: generator and student, before and after every sum.

Shape legend: B images, C channels, H height, W width, K classes, Z latent values. Where pixels are
labelled, logits and what is made of them have a row for each: B counts rows there.

    leg 1   ens(c) = sum_k n_k(c) z_k(c) / sum_k n_k(c);  the loss's gradient at ens and at the
            student's logits follows from these alone
    leg 2   every device pulls its part of the gradient at ens, with its own terms, back to images;
            their sum, and the student's own part, go through the generator

Rules:
- both nets are public: they start from the config's seed and see sums alone (docs/adr/0023);
- a step of the generator leaves the student as it is, and the other way round;
- latents follow from seed, cycle and number, so a state does not hold them; images are what devices
  saw, so with 8 bits the gradient is taken at the rounded ones and passed through the rounding;
- losses are sums over images, of means over an image's rows; parameters take a step along the mean.

A device that answers the first leg and not the second takes its part of the ensemble's gradient
with it: what comes is scaled up by the shares of examples, exact again in the next step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.base import Crowd
from dreamshare.algorithms.bounds import CLIPPED
from dreamshare.algorithms.fediod.config import FedIODConfig
from dreamshare.algorithms.fediod.state import FedIODState, Leg, Stage
from dreamshare.algorithms.fediod.terms import LEAST, distance
from dreamshare.algorithms.posteriors import received
from dreamshare.algorithms.shares import held, over_mass
from dreamshare.learning.plain import Trained, adam, classifier, generator, segmenter
from dreamshare.learning.plain.nets import Chain
from dreamshare.payloads.dreams import Floats
from dreamshare.payloads.pixels import packed, unpacked
from dreamshare.updates import Array, PublicArray

STUDENT, GENERATOR = "student.", "generator."
STUDENT_STREAM, GENERATOR_STREAM, LATENT_STREAM = 2**32 + 1, 2**32 + 2, 2**32 + 3
"""Keep random numbers of one seed apart."""

BETAS = (0.5, 0.999)
LOGS = -math.log(LEAST) / 2
"""Cut logarithms travel around 0, within +- this."""


def generator_of(config: FedIODConfig) -> Chain:
    """Return the generator's layers."""
    c = config
    return generator(c.shape, c.latent, c.generator_width, c.low, c.high)


def student_of(config: FedIODConfig) -> Chain:
    """Return the student's layers."""
    make = segmenter if config.pixels else classifier
    return make(config.shape, config.classes, config.student_width)


def first_generator(config: FedIODConfig) -> Trained:
    """Return the generator before the first step."""
    rng = np.random.default_rng([config.seed, GENERATOR_STREAM])
    return Trained.start(generator_of(config).start(rng))


def first_student(config: FedIODConfig) -> Trained:
    """Return the student before it has learnt."""
    rng = np.random.default_rng([config.seed, STUDENT_STREAM])
    return Trained.start(student_of(config).start(rng))


def student_values(tensors: Mapping[str, PublicArray]) -> dict[str, Floats]:
    """Return the student's parameters from named tensors."""
    return {
        name.removeprefix(STUDENT): array.astype(np.float32, copy=False)
        for name, array in tensors.items()
        if name.startswith(STUDENT)
    }


def latents_of(config: FedIODConfig, state: FedIODState) -> Floats:
    """Return the latents of the step that the state stands at (B, Z)."""
    number = state.steps + state.labelled
    rng = np.random.default_rng([config.seed, LATENT_STREAM, state.cycle, number])
    return rng.standard_normal((config.batch, config.latent)).astype(np.float32)


def pictured(config: FedIODConfig, state: FedIODState, stage: Stage) -> FedIODState:
    """Return the state at `stage`, with the images of its step."""
    made, _ = generator_of(config).forward(state.generator.values, latents_of(config, state))
    x_BCHW = np.ascontiguousarray(made)
    if config.image_bits == 8:
        x_BCHW = unpacked(packed(x_BCHW, config.low, config.high), config.low, config.high)
    return replace(state, stage=stage, x_BCHW=x_BCHW)


def known(state: FedIODState) -> NDArray[np.bool_]:
    """Return which classes the cohort has."""
    return state.totals_K > 0


def ensemble(mean: Mapping[str, Array], crowd: Crowd) -> NDArray[np.float64]:
    """Return the class-weighted logits (B, K) of those who answered.

    A class whose holders are all gone counts as the least likely of the others.
    """
    logits_BK = over_mass(mean["logits"], mean["mass"], crowd.survivors)
    there_K = held(mean["mass"], crowd.survivors)
    if not there_K.any():
        return logits_BK
    return np.where(there_K, logits_BK, logits_BK[:, there_K].min(axis=1, keepdims=True))


def noted(
    config: FedIODConfig, state: FedIODState, mean: Mapping[str, Array], crowd: Crowd
) -> FedIODState:
    """Return the state with the images of the step among its lessons."""
    logits_BK = ensemble(mean, crowd).astype(np.float32)
    return replace(state, lessons=state.lessons.add(state.x_BCHW, logits_BK, config.replay))


def heard(
    config: FedIODConfig, state: FedIODState, mean: Mapping[str, Array], crowd: Crowd
) -> FedIODState:
    """Return the state after the first leg: labelled images, and what the second leg needs."""
    c = config
    logits_BK, _ = student_of(c).forward(state.student.values, state.x_BCHW)
    apart = distance(c.distillation, c.temperature, ensemble(mean, crowd), logits_BK, known(state))
    total = float(mean["total"])
    weight = -c.adversarial_weight / c.places
    wanted_BK = weight * total * apart.ensemble_BK
    pull_BK = over_mass(wanted_BK, mean["mass"], crowd.survivors)
    told: dict[str, PublicArray] = {"pull": pull_BK.astype(np.float32)}
    if c.asks_mean:
        told["mean"] = received(mean).astype(np.float32)
        told["share"] = np.array([total])
    if c.asks_logs:
        told["logs"] = (mean["logs"] - LOGS).astype(np.float32)
    student_BK = (weight * apart.student_BK).astype(np.float32)
    state = noted(c, state, mean, crowd)
    return replace(state, stage=Stage.PULL, leg=Leg(told, student_BK))


def image_gradient(
    config: FedIODConfig, state: FedIODState, mean: Mapping[str, Array], crowd: Crowd
) -> NDArray[np.float64]:
    """Return the gradient of the whole loss with respect to images after the second leg."""
    _, pull = student_of(config).forward(state.student.values, state.x_BCHW)
    devices_BCHW = over_mass(mean["gradient"], mean["total"], crowd.survivors)
    return devices_BCHW + pull(state.leg.student_BK)[0]


def stepped(
    config: FedIODConfig, state: FedIODState, mean: Mapping[str, Array], crowd: Crowd
) -> FedIODState:
    """Return the state after a step of the generator on the sum of the second leg."""
    gradient_BCHW = image_gradient(config, state, mean, crowd)
    _, pull = generator_of(config).forward(state.generator.values, latents_of(config, state))
    _, found = pull((gradient_BCHW / config.batch).astype(np.float32))
    share = max(0.0, float(mean[CLIPPED])) / gradient_BCHW.size
    return replace(
        state,
        generator=_moved(config, state.generator, found),
        bound=state.bound.follow(mean["gradient"], share),
        clipped=max(state.clipped, share),
        steps=state.steps + 1,
        leg=Leg({}, state.leg.student_BK[:0]),
    )


def taught(config: FedIODConfig, state: FedIODState) -> Trained:
    """Return the student after a cycle's steps on labelled images; the generator stays."""
    c, student, net = config, state.student, student_of(config)
    rng = np.random.default_rng([c.seed, STUDENT_STREAM, state.cycle])
    x_NCHW, logits_NK = state.lessons.x_NCHW, state.lessons.logits_NK
    for _ in range(c.student_steps):
        drawn = rng.permutation(len(x_NCHW))[: c.student_batch]
        own_BK, pull = net.forward(student.values, x_NCHW[drawn])
        ensemble_BK = logits_NK[drawn].reshape(own_BK.shape).astype(np.float64)
        apart = distance(c.distillation, c.temperature, ensemble_BK, own_BK, known(state))
        _, found = pull((apart.student_BK / len(own_BK)).astype(np.float32))
        student = adam(student, found, c.student_rate)
    return student


def targets_of(state: FedIODState) -> Floats:
    """Return the lessons' soft labels: softmax over the classes that the cohort has."""
    logits_NK = np.where(known(state), state.lessons.logits_NK, -np.inf)
    shifted = np.exp(logits_NK - logits_NK.max(axis=-1, keepdims=True))
    targets_NK: Floats = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
    return targets_NK


def _moved(config: FedIODConfig, net: Trained, found: Mapping[str, Floats]) -> Trained:
    if config.generator_optimizer == "adam":
        return adam(net, found, config.generator_rate, BETAS)
    rate = np.float32(config.generator_rate)
    values = {name: array - rate * found[name] for name, array in net.values.items()}
    return replace(net, values=values, taken=net.taken + 1)
