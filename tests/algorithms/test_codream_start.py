"""CoDream that begins with pictures of a public set instead of noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Crowd
from dreamshare.algorithms.codream import Codream, CodreamConfig
from dreamshare.errors import ConfigError
from dreamshare.learning.public import PublicSet

SHAPE, CLASSES = (1, 2, 2), 3
X = np.linspace(-1, 1, 6 * 4, dtype=np.float32).reshape(6, *SHAPE)
Y = np.array([0, 1, 2, 0, 1, 2])


def config(file: Path, made: PublicSet) -> CodreamConfig:
    made.save(file)
    return CodreamConfig(
        shape=SHAPE, classes=CLASSES, dreams=6, warm_up_epochs=0,
        start=str(file), start_set=made.digest,
    )  # fmt: skip


def first_dreams(asked: CodreamConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return the dreams of the first step, and their classes."""
    algorithm = Codream(asked)
    state = algorithm.init(np.random.default_rng(0))
    state = algorithm.merge(state, {"counts": np.ones(CLASSES)}, Crowd(3, 3))
    state = algorithm.merge(state, {}, Crowd(3, 3))  # the warm-up, of no epochs
    ask = algorithm.plan(state)
    assert isinstance(ask, Ask)
    return ask.tensors["dreams"], ask.tensors["labels"]


def test_each_dream_begins_as_a_picture_of_its_class(tmp_path: Path) -> None:
    asked = config(tmp_path / "start.npz", PublicSet(X, Y))
    dreams, labels = first_dreams(asked)
    for dream, label in zip(dreams, labels, strict=True):
        assert any(np.array_equal(dream, x) for x in X[label == Y])
    again, _ = first_dreams(asked)
    assert np.array_equal(dreams, again)  # whoever resumes the run begins the same


def test_another_file_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    asked = config(tmp_path / "start.npz", PublicSet(X, Y))
    with pytest.raises(ConfigError, match="is not the set"):
        Codream(replace(asked, start_set="0" * 64)).init(np.random.default_rng(0))
    with pytest.raises(ConfigError, match="needs inputs"):
        Codream(config(tmp_path / "bare.npz", PublicSet(X))).init(np.random.default_rng(0))
    with pytest.raises(ConfigError, match="public set"):
        Codream(replace(asked, start="nowhere.npz")).init(np.random.default_rng(0))


def test_a_class_without_a_picture_is_named(tmp_path: Path) -> None:
    asked = config(tmp_path / "start.npz", PublicSet(X, np.zeros(6, np.int64)))
    with pytest.raises(ConfigError, match="no picture of class 1"):
        first_dreams(asked)


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    asked = config(tmp_path / "start.npz", PublicSet(X, Y))
    with pytest.raises(ConfigError, match="go together"):
        replace(asked, start="")
    with pytest.raises(ConfigError, match="start needs form"):
        replace(asked, form="generator")
