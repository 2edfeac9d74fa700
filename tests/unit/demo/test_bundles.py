"""The demo's bundles: made from today's sources, small, and the nets that torch runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.onnx.calls import dream_feeds, dream_result
from dreamshare.learning.onnx.training import Training, TrainState
from dreamshare.learning.torch import TorchLearner
from dreamshare_cli.demo import bundles, nets
from dreamshare_cli.demo.bundles import demo_bundle
from dreamshare_cli.demo.bundles.making import SEED
from dreamshare_cli.demo.bundles.sources import MADE, meaning, outdated, sources
from dreamshare_cli.demo.digits import CLASSES, SHAPE
from dreamshare_cli.demo.setting import ARCHITECTURES

FOLDER = Path(*bundles.__path__)
MOST_BYTES = 3_000_000


def test_they_were_made_from_the_sources_as_they_are() -> None:
    assert outdated(FOLDER) == "", "make bundles"


def test_bundles_of_other_sources_or_of_two_builds_are_found_out(tmp_path: Path) -> None:
    for file in FOLDER.iterdir():
        if file.suffix in (".json", ".dream"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    assert outdated(tmp_path) == ""
    first, second = (tmp_path / f"{name}.dream" for name in ARCHITECTURES[:2])
    second.write_bytes(first.read_bytes())
    assert "not of one build" in outdated(tmp_path)
    (tmp_path / MADE).write_text(json.dumps({"sources": "0" * 64, "models": {}}))
    assert "the exporter changed" in outdated(tmp_path)


def test_there_is_one_of_each_architecture_and_all_are_small() -> None:
    files = list(FOLDER.glob("*.dream"))
    assert {file.stem for file in files} == set(ARCHITECTURES)
    assert sum(file.stat().st_size for file in files) < MOST_BYTES


def test_what_counts_as_a_source() -> None:
    names = {path.name for path in sources()}
    assert {"operators.py", "convolutions.py", "graphs.py", "nets.py", "first_weights.py"} <= names
    assert not names & {"cache.py", "check.py", "device.py"}
    assert len(names) == len(sources())


def test_comments_docstrings_and_layout_mean_nothing_and_code_does() -> None:
    said = 'def f(x):\n    """Twice."""\n    return 2 * x\n'
    assert meaning(said) == meaning("# doubles\ndef f( x ):\n\n    return (2 * x)  # x\n")
    assert meaning(said) != meaning("def f(x):\n    return 3 * x\n")
    assert meaning("x = ''") != meaning('"""x."""\ny = ""')


def test_an_unknown_net_is_refused() -> None:
    with pytest.raises(ConfigError, match="no bundle of 'Transformer'"):
        demo_bundle("Transformer")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_bundle_holds_the_net_that_torch_runs(architecture: str) -> None:
    """Weights bit by bit; what is computed from them to float32's rounding."""
    bundle, rng = demo_bundle(architecture), np.random.default_rng(3)
    learner = TorchLearner(nets.build(architecture, SEED), classes=CLASSES)
    state = TrainState(bundle.weights())
    for name, array in learner.parameters().items():
        assert np.array_equal(state.weights[name], array), name

    x_NCHW = rng.uniform(-1, 1, (6, *SHAPE)).astype(np.float32)
    y_N = rng.integers(0, CLASSES, 6)
    objective = DreamObjective(labels_B=y_N, feature_weight=10.0)
    program = bundle.open("dream_grad", state.weights)
    ours = dream_result(program.run(dream_feeds(bundle.manifest, x_NCHW, objective)), objective)
    theirs = learner.input_gradient(x_NCHW, objective)
    scale = np.abs(theirs.gradient_NCHW).max()
    np.testing.assert_allclose(ours.gradient_NCHW, theirs.gradient_NCHW, rtol=0, atol=1e-4 * scale)
    np.testing.assert_allclose(ours.logits_NK, theirs.logits_NK, rtol=1e-4, atol=1e-5)

    step = (Batch(x_NCHW, y_N),)
    fit = FitObjective(learning_rate=1e-2, optimizer="sgd")
    assert Training(bundle).step(state, step, fit) == pytest.approx(
        learner.fit([step], fit), rel=1e-4
    )
    for name, array in learner.parameters().items():
        np.testing.assert_allclose(state.weights[name], array, rtol=1e-3, atol=1e-5, err_msg=name)
