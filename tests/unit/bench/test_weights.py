"""Generators of a recipe that names no weights learn from its public set, once."""

from __future__ import annotations

import sys
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
        {"message": "none", "weights": "own.npz", "digest": "0" * 64},
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


def test_weights_that_a_recipe_names_need_no_digest(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path or an id of the hub is all; the digest is that of what lies there."""
    folder = cache / "pipeline"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    said = {"message": "counts", "generator": "diffusers"}
    found = weights_of({**said, "weights": str(folder)}, None, 3, 0.0, 1.0)
    assert found == {"digest": digest_of(folder)}
    asked = []

    class Hub:
        def located(self, weights: str, *, offline: bool) -> Path:
            asked.append((weights, offline))
            return folder

    monkeypatch.setitem(sys.modules, generators.HUB, Hub())  # type: ignore[arg-type]
    for offline in ({}, {"offline": False}):
        named = {**said, **offline, "weights": "someone/tiny"}
        assert weights_of(named, None, 3, 0.0, 1.0) == found
    assert asked == [("someone/tiny", True), ("someone/tiny", False)]
    with pytest.raises(ConfigError, match=r"cannot be read|no weights"):
        weights_of({"message": "none", "weights": "none.npz"}, None, 3, 0.0, 1.0)


def test_without_a_public_set_the_need_is_named() -> None:
    with pytest.raises(ConfigError, match=r"set data\.public"):
        weights_of({"message": "none"}, None, 3, 0.0, 1.0)
