"""docs/results.md and its pictures are what the committed result files give."""

from __future__ import annotations

import re
from pathlib import Path

from dreamshare_cli.bench.plots import stamp_of
from dreamshare_cli.bench.report import page_of
from dreamshare_cli.bench.results import Results, read_results
from dreamshare_cli.bench.tables import algorithm_pictures
from tests.architecture.packages import ROOT

FILES = sorted((ROOT / "benchmarks" / "results" / "bench").glob("*.json"))
PAGE = ROOT / "docs" / "results.md"
FOLDER = PAGE.with_suffix("")
COMMAND = "dreamshare bench report benchmarks/results/bench/*.json --out docs/results.md"


def every() -> list[Results]:
    return [read_results(path) for path in FILES]


def test_the_page_is_what_the_files_give() -> None:
    assert PAGE.read_text() == page_of(FILES, "results"), f"write it anew: {COMMAND}"


def test_every_picture_is_of_these_results_and_none_is_left_over() -> None:
    linked = set(re.findall(r"\]\(results/([^)]*)\)", PAGE.read_text()))
    assert sorted(linked) == sorted(path.name for path in FOLDER.glob("*")), COMMAND
    stamps = {results.recipe.name: stamp_of(results) for results in every()}
    for name in sorted(linked):
        found = re.findall(r"([a-z0-9-]+), results [0-9a-f]{64}", (FOLDER / name).read_text())
        assert found, name
        drawn = (FOLDER / name).read_text()
        assert all(stamps[each] in drawn for each in found), f"{name} is of others: {COMMAND}"


def test_the_page_of_an_algorithm_shows_its_curves() -> None:
    for name in algorithm_pictures(every()):
        about = ROOT / "docs" / "algorithms" / f"{Path(name).stem}.md"
        if about.exists():  # evaluate/1 has none
            line = f"![Accuracy against rounds](../results/{name})"
            assert line in about.read_text(), f"{about.name} lacks its curves: {line}"


def test_a_result_file_is_of_the_recipe_that_lies_here() -> None:
    for path, results in zip(FILES, every(), strict=True):
        recipe = ROOT / "recipes" / f"{results.recipe.name}.toml"
        assert recipe.read_text() == results.recipe.text, f"{path.name} is of another {recipe.name}"
