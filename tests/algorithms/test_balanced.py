"""Balanced softmax is in every algorithm that trains, and acts: with a device's own histogram."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms import catalog
from dreamshare.algorithms.fedavg import FedAvgConfig
from dreamshare.algorithms.selftuning import SelfTuningConfig
from dreamshare.learning.measures import log_softmax
from dreamshare.learning.objectives import FitObjective
from tests.algorithms import test_fedavg, test_selftuning
from tests.algorithms.describing import generative
from tests.algorithms.iod import fediod
from tests.algorithms.moments import moments
from tests.algorithms.oracle import Device, run
from tests.algorithms.sharing import COUNTS, consensus, crew, fedh2l
from tests.algorithms.test_codream import CONFIG
from tests.algorithms.toy import ToyLearner

TRAINING = (
    CONFIG,
    test_fedavg.config_of(),
    test_selftuning.config_of(),
    consensus(),
    fedh2l(),
    fediod(),
    generative(),
    moments(mix="beside"),  # what fills a device up to even classes has no skew left to undo
)
WITHOUT = {"evaluate/1", "autodiff/1"}
"""Train nobody."""


def test_every_registered_algorithm_is_here() -> None:
    known = {catalog.config_json_of(config)[0] for config in TRAINING}
    assert known | WITHOUT == set(catalog.names())


class Listening(ToyLearner):
    """Notes the class prior of every call of `fit`."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.priors: list[tuple[float, ...] | None] = []

    def fit(self, steps, objective):
        self.priors.append(objective.class_prior)
        return super().fit(steps, objective)


@pytest.mark.parametrize("config", TRAINING, ids=lambda c: type(c).__name__)
def test_the_prior_is_the_devices_own_in_every_training(config) -> None:
    """Half an example is added to each class: (10.5, 6.5, 4.5) / 21.5 for counts (10, 6, 4)."""
    for balanced in (True, False):
        devices = trained(replace(config, balanced=balanced), Listening)
        for device, counts in zip(devices, COUNTS, strict=True):
            wanted = tuple((n + 0.5) / (sum(counts) + 1.5) for n in counts) if balanced else None
            assert device.learner.priors
            for prior in device.learner.priors:
                assert prior == (pytest.approx(wanted) if balanced else None)


@pytest.mark.parametrize("config", TRAINING, ids=lambda c: type(c).__name__)
def test_it_acts_on_what_every_kind_of_learner_says(config, learner) -> None:
    """Same data, same steps: what the first device says of three inputs differs, in log-odds."""
    if isinstance(config, FedAvgConfig):  # these configs name the shapes of the model
        of = test_selftuning if isinstance(config, SelfTuningConfig) else test_fedavg
        config = of.config_of(learner)
    x_NCHW = np.eye(4, dtype=np.float32)[:3].reshape(3, 1, 2, 2)
    said = [
        log_softmax(trained(replace(config, balanced=balanced), learner)[0].learner.logits(x_NCHW))
        for balanced in (True, False)
    ]
    assert np.abs(said[0] - said[1]).max() > 0.1


def trained(config, learner) -> list[Device]:
    shared = isinstance(config, FedAvgConfig)  # averaging begins with one model
    devices = crew((lambda _: learner(5)) if shared else learner)
    run(catalog.algorithm_of(config), devices)
    return devices


def test_own_objectives_keep_what_else_they_hold() -> None:
    objective = FitObjective(learning_rate=0.3, proximal=2.0, temperature=4.0)
    found = objective.balanced(np.array([3, 1, 0]))
    assert replace(found, class_prior=None) == objective
