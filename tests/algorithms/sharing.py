"""Crews that hold public sets, for tests of algorithms that share posteriors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dreamshare.algorithms.consensus import ConsensusConfig
from dreamshare.algorithms.fedh2l import FedH2LConfig
from dreamshare.learning.base import Learner
from dreamshare.learning.public import PublicSet, SharingData
from tests.algorithms.oracle import Device
from tests.algorithms.toy import SHAPE, toy_data

COUNTS = ((10, 6, 4), (2, 9, 9), (8, 0, 12))


def seeds(count: int = 12, seed: int = 50) -> PublicSet:
    """Blobs as the devices' own, every class equally often."""
    rng = np.random.default_rng(seed)
    y_N = np.arange(count) % 3
    x_N4 = np.eye(4)[y_N] + rng.normal(0, 0.3, (count, 4))
    return PublicSet(x_N4.reshape(-1, *SHAPE).astype(np.float32), y_N.astype(np.int64))


def two_domains(seed: int = 60) -> PublicSet:
    """Two domains: the second one's pictures are upside down, so its classes look different."""
    one = seeds(30, seed)
    turned = one.x_NCHW[:, :, ::-1, ::-1]
    return PublicSet(
        np.concatenate([one.x_NCHW, turned]),
        np.concatenate([one.y_N, one.y_N]),
        np.repeat(np.arange(2), 30).astype(np.int64),
    )


def crew(learner: Callable[[int], Learner], *, devices: int = 3, domains: bool = False):
    held = (seeds(), two_domains())
    return [
        Device(
            learner(i + 5),
            SharingData(toy_data(i, COUNTS[i % 3]), held, i % 2 if domains else None),
            np.random.default_rng(i),
        )
        for i in range(devices)
    ]


def fedh2l(**changes) -> FedH2LConfig:
    base = {
        "seed_set": seeds().digest,
        "seeds": 12,
        "classes": 3,
        "rounds": 3,
        "warm_up_epochs": 2,
        "warm_up_rate": 0.1,
        "fit_steps": 4,
        "local_batch": 8,
        "seed_batch": 8,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "tag_slots": 256,
    }
    return FedH2LConfig(**(base | changes))


def consensus(**changes) -> ConsensusConfig:
    base = {
        "public_set": seeds().digest,
        "inputs": 12,
        "classes": 3,
        "rounds": 3,
        "warm_up_epochs": 2,
        "warm_up_rate": 0.1,
        "fit_steps": 4,
        "local_batch": 8,
        "public_batch": 8,
        "optimizer": "sgd",
        "learning_rate": 0.1,
    }
    return ConsensusConfig(**(base | changes))
