"""Generators of a recipe that names no weights learn from its public set, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.generators import digest_of, load_flow, load_moments
from dreamshare.learning.public import PublicSet
from dreamshare_cli.bench import generators
from dreamshare_cli.bench.generators import weights_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(generators, "STEPS", 3)
    return tmp_path


def public(seed: int = 0) -> PublicSet:
    rng = np.random.default_rng(seed)
    y_N = (np.arange(40) % 3).astype(np.int64)
    return PublicSet(rng.uniform(0, 1, (40, 1, 8, 8)).astype(np.float32), y_N)


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"message": "sums"},
        {"message": "none", "weights": "own.npz"},
        {"message": "counts", "generator": "diffusers"},
    ],
)
def test_nothing_is_trained_that_is_not_needed(table, cache: Path) -> None:
    assert weights_of(table, public(), 3, 0.0, 1.0) == {}
    assert not list(cache.rglob("*.npz"))


def test_moments_and_flows_are_of_the_public_set_and_kept(cache: Path) -> None:
    moments = weights_of({"message": "none"}, public(), 3, 0.0, 1.0)
    assert load_moments(str(moments["weights"])).trained_on == public().digest
    assert moments["digest"] == digest_of(str(moments["weights"]))
    flow = weights_of({"message": "counts", "generator": "flow"}, public(), 3, 0.0, 1.0)
    assert load_flow(str(flow["weights"])).trained_on == public().digest
    worded = {"message": "counts", "generator": "flow", "captions": "attributes"}
    found = weights_of(worded, public(), 3, 0.0, 1.0)
    assert load_flow(str(found["weights"])).settings.words == 10
    assert weights_of(worded, public(), 3, 0.0, 1.0) == found
    assert weights_of({"message": "none"}, public(1), 3, 0.0, 1.0) != moments
    assert len(list(cache.rglob("*"))) == 6, "two folders, four files, no leftovers"


def test_without_a_public_set_the_need_is_named() -> None:
    with pytest.raises(ConfigError, match=r"set data\.public"):
        weights_of({"message": "none"}, None, 3, 0.0, 1.0)
