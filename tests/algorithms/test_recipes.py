"""Recipes follow the catalogue: the smoke recipe runs every registered algorithm, all are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamshare.algorithms.catalog import names
from dreamshare_cli.bench.recipe import read_recipe

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes").glob("*.toml"))


ASKED = {"autodiff/1"}
"""Does what its client's program asks, so that it has no run of its own (docs/autodiff.md)."""


def test_the_smoke_recipe_has_every_registered_algorithm() -> None:
    smoke = next(path for path in RECIPES if path.stem == "smoke")
    assert {plan.name for plan in read_recipe(smoke).algorithm} == set(names()) - ASKED


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_called_like_its_file_and_compares_with_the_free_baseline(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name == path.stem
    assert recipe.about
    assert "label histogram only" in {plan.kind for plan in recipe.baseline}
