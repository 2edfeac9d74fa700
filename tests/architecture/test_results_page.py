"""docs/results.md is what the committed result files give."""

from __future__ import annotations

from dreamshare_cli.bench.report import page_of
from dreamshare_cli.bench.results import read_results
from tests.architecture.packages import ROOT

FILES = sorted((ROOT / "benchmarks" / "results" / "bench").glob("*.json"))
PAGE = ROOT / "docs" / "results.md"
COMMAND = "dreamshare bench report benchmarks/results/bench/*.json --out docs/results.md"


def test_the_page_is_what_the_files_give() -> None:
    assert PAGE.read_text() == page_of(FILES, "results"), f"write it anew: {COMMAND}"


def test_a_result_file_is_of_the_recipe_that_lies_here() -> None:
    for path in FILES:
        results = read_results(path)
        recipe = ROOT / "recipes" / f"{results.recipe.name}.toml"
        assert recipe.read_text() == results.recipe.text, f"{path.name} is of another {recipe.name}"
