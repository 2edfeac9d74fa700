"""Names, configs as canonical JSON, and what a strict decoder refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms import catalog
from dreamshare.algorithms.base import Ask, Done, Tell
from dreamshare.algorithms.checkpoint import encode_state
from dreamshare.algorithms.codream import Codream, CodreamConfig
from dreamshare.algorithms.consensus import Consensus
from dreamshare.algorithms.evaluate import EvaluateConfig
from dreamshare.algorithms.fedavg import FedAvg, FedAvgConfig
from dreamshare.algorithms.fedh2l import FedH2L
from dreamshare.algorithms.fediod import FedIOD
from dreamshare.algorithms.generative import Generative
from dreamshare.algorithms.moments import MomentSharing
from dreamshare.algorithms.selftuning import SelfTuning
from dreamshare.errors import ConfigError
from tests.algorithms.describing import TEXT, generative
from tests.algorithms.iod import crew as iod_crew
from tests.algorithms.iod import fediod
from tests.algorithms.moments import moments
from tests.algorithms.oracle import Device, run
from tests.algorithms.sharing import consensus, crew, fedh2l
from tests.algorithms.test_codream import CONFIG
from tests.algorithms.test_fedavg import config_of
from tests.algorithms.test_selftuning import config_of as selftuning
from tests.algorithms.toy import ToyLearner, toy_data

CONFIGS = (
    CONFIG,
    config_of(),
    EvaluateConfig(7),
    consensus(),
    fedh2l(evaluate="end"),
    fediod(divergence="code", evaluate="end"),
    generative(evaluate=True),
    moments(evaluate=True),
    selftuning(),
)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_configs_survive_the_wire(config):
    name, text = catalog.config_json_of(config)
    algorithm = catalog.algorithm_from(name, text)
    assert algorithm.name == name
    assert algorithm.config == config
    assert catalog.config_json_of(algorithm.config) == (name, text)


def test_canonical_json():
    assert catalog.config_json_of(EvaluateConfig(7)) == ("evaluate/1", b'{"max_examples":7}')
    _, text = catalog.config_json_of(CONFIG)
    tree = json.loads(text)
    assert text == json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()
    assert tree["shape"] == [1, 2, 2] and tree["server_optimizer"] == "adam"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"shape": [1, 2]}, "shape"),
        ({"shape": "122"}, "shape"),
        ({"classes": 3.0}, "classes"),
        ({"classes": True}, "classes"),
        ({"classes": 1}, "classes"),
        ({"dream_rate": "0.1"}, "dream_rate"),
        ({"dream_rate": None}, "dream_rate"),
        ({"dream_rate": 0}, "dream_rate"),
        ({"server_optimizer": "lion"}, "server_optimizer"),
        ({"adversarial": "jsd"}, "adversarial"),
        ({"balanced": 1}, "balanced"),
        ({"sharing": 1}, "unknown field 'sharing'"),
        ({"replay": 1}, "replay"),
    ],
)
def test_a_strict_decoder(change, text):
    tree = json.loads(catalog.config_json_of(CONFIG)[1])
    with pytest.raises(ConfigError, match=text):
        catalog.algorithm_from("codream/1", json.dumps(tree | change).encode())


def test_what_is_no_config_at_all():
    for raw in (b"", b"[]", b"{", b'"x"', b"null", b"\xff", b"[" * 100_000):
        with pytest.raises(ConfigError):
            catalog.algorithm_from("codream/1", raw)
    with pytest.raises(ConfigError, match="at most"):
        catalog.algorithm_from("codream/1", b" " * (catalog.MOST_CONFIG_BYTES + 1))
    with pytest.raises(ConfigError, match="missing"):
        catalog.algorithm_from("codream/1", b'{"shape":[1,2,2],"classes":3}')
    with pytest.raises(ConfigError, match="finite"):
        catalog.algorithm_from("evaluate/1", b'{"max_examples":NaN}')


def test_another_way_to_write_a_config_is_refused():
    """Its bytes are hashed into Hb: other spaces must not make an answered question a new one."""
    _, text = catalog.config_json_of(CONFIG)
    tree = json.loads(text)
    backwards = dict(reversed(tree.items()))
    for other in (
        text + b" ",
        json.dumps(tree, sort_keys=True).encode(),
        json.dumps(backwards, separators=(",", ":")).encode(),
        text.replace(b'"shape"', b'"\\u0073hape"'),
        text.replace(b'"classes":', b'"classes":1,"classes":'),
    ):
        assert other != text
        with pytest.raises(ConfigError, match="canonical"):
            catalog.algorithm_from("codream/1", other)


def test_whole_numbers_for_real_ones_are_written_as_they_are_read():
    """Who writes norm=1 in Python means 1.0, and devices take what this makes of it."""
    config = CodreamConfig(shape=(1, 8, 8), classes=10, norm=1)
    name, text = catalog.config_json_of(config)
    assert b'"norm":1.0' in text
    assert catalog.algorithm_from(name, text).config == config


def test_people_may_leave_out_what_has_a_default():
    config = catalog.config_from("codream/1", {"shape": [1, 8, 8], "classes": 10, "norm": 1})
    assert config == CodreamConfig(shape=(1, 8, 8), classes=10, norm=1.0)
    with pytest.raises(ConfigError, match="classes is missing"):
        catalog.config_from("codream/1", {"shape": [1, 8, 8]})


def test_unknown_names():
    with pytest.raises(
        ConfigError,
        match="codream/1, consensus/1, evaluate/1, fedavg/1, fedh2l/1, fediod/1, generative/1, "
        "moments/1, selftuning/1",
    ):
        catalog.entry_of("codream/2")
    with pytest.raises(ConfigError, match="no config of a registered"):
        catalog.config_json_of(object())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_registered_asks_are_those_of_the_template(config):
    name, _ = catalog.config_json_of(config)
    algorithm = catalog.algorithm_of(config)
    assert set(algorithm.steps()) <= set(catalog.entry_of(name).asks)


def test_registered_steps_are_what_a_run_plans():
    full = replace(CONFIG, evaluate="end", student="small", adversarial="jsd")
    assert set(catalog.entry_of("codream/1").steps) == _planned(Codream(full))
    assert set(catalog.entry_of("fedavg/1").steps) == _planned(FedAvg(config_of()))
    assert set(catalog.entry_of("selftuning/1").steps) == _planned(SelfTuning(selftuning()))
    for algorithm in (
        Consensus(consensus(evaluate="end")),
        FedH2L(fedh2l(evaluate="end")),
    ):
        planned = set(run(algorithm, crew(ToyLearner)).steps)
        assert set(catalog.entry_of(algorithm.name).steps) == planned
    planned = set(run(Generative(generative(evaluate=True)), crew(ToyLearner)).steps)
    planned |= set(Generative(generative(**TEXT)).steps())
    assert set(catalog.entry_of("generative/1").steps) == planned
    compared = moments(form="basis", components=2, evaluate=True, compare=True)
    planned = set(run(MomentSharing(compared), crew(ToyLearner)).steps)
    planned |= set(MomentSharing(moments(form="clipped")).steps())
    assert set(catalog.entry_of("moments/1").steps) == planned
    planned = set(run(FedIOD(fediod(evaluate="end")), iod_crew()).steps)
    assert set(catalog.entry_of("fediod/1").steps) == planned


def _planned(algorithm: Codream | FedAvg | SelfTuning) -> set[str]:
    crew = [Device(ToyLearner(5), toy_data(i), np.random.default_rng(i)) for i in range(3)]
    return set(run(algorithm, crew).steps)


def test_states_are_stored_under_the_name():
    algorithm = Codream(CONFIG)
    state = algorithm.init(np.random.default_rng(0))
    again = catalog.state_from("codream/1", encode_state(state))
    assert isinstance(algorithm.plan(again), Ask | Tell | Done)
    with pytest.raises(ConfigError, match="a FedAvgState was expected"):
        catalog.state_from("fedavg/1", encode_state(state))


def test_of_model():
    config = FedAvgConfig.of_model({"w": np.zeros((2, 3), np.float32)}, 4)
    assert config.shapes == ((2, 3),) and config.classes == 4
