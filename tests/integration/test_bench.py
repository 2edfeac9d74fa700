"""`dreamshare bench` as a user types it: the smoke recipe, its report, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.packages import ROOT
from tests.integration.children import RUN, processes_of
from tests.services import tethered

pytestmark = pytest.mark.integration

SMOKE = ROOT / "recipes" / "smoke.toml"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a recipe's generators learn out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def bench(*words: str | Path, limit: float = 280) -> subprocess.CompletedProcess[str]:
    """Run the verb in a process of its own, with one compute thread."""
    return subprocess.run(
        [sys.executable, "-m", "dreamshare_cli", "bench", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=limit,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.timeout(300)  # it computes for 20 s; a busy machine may take its time
def test_the_smoke_recipe_runs_every_algorithm_and_is_written_up(tmp_path: Path) -> None:
    answer = bench(SMOKE, "--workers", "0", "--out", tmp_path, "--json")
    assert answer.returncode == 0, answer.stderr + answer.stdout
    *news, end = objects(answer.stdout)
    states = {(each["cell"], each["state"]) for each in news}
    cells = {cell for cell, _ in states}
    assert {cell for cell, state in states if state == "done"} == cells
    assert {each["cell"] for each in news if each["state"] == "round"} == cells
    assert (end["missing"], end["cells"]) == (0, len(cells))
    page = tmp_path / "results.md"
    answer = bench("report", str(end["results"]), "--out", page, "--json")
    assert answer.returncode == 0, answer.stderr
    assert "| CoDream |" in page.read_text()

    again = bench(SMOKE, "--out", tmp_path, "--json")
    assert {each.get("state") for each in objects(again.stdout)} == {"found", None}


def started(recipe: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    """Start a run with two processes for its cells."""
    command = [sys.executable, "-m", "dreamshare_cli", "bench", str(recipe), "--json"]
    command += ["--out", str(out), "--workers", "2", *options]
    pipe = subprocess.PIPE
    marked = {**os.environ, RUN: str(out)}
    return subprocess.Popen(tethered(command), stdout=pipe, stderr=pipe, text=True, env=marked)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A recipe of one cell that learns and learns, and of one that ends at once."""
    settings = SMOKE.read_text().partition("[[baseline]]")[0]
    recipe = tmp_path / "endless.toml"
    recipe.write_text(
        settings.replace("rounds = 2\n", "rounds = 5000\n")
        + '[[baseline]]\nkind = "independent"\n'
        + '[[algorithm]]\nname = "evaluate/1"\nlabel = "Evaluation"\n'
    )
    return recipe


@pytest.mark.timeout(300)  # three processes load torch beside each other
def test_a_stopped_run_leaves_no_process_and_keeps_what_is_finished(
    endless: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started(endless, out) as running:
        assert running.stdout is not None
        waited = {("evaluation", "done"), ("independent", "round")}
        while waited:
            news = json.loads(running.stdout.readline())
            waited = {(w, state) for w, state in waited if w not in news["cell"]
                      or state != news["state"]}  # fmt: skip
        assert len(processes_of(out)) == 2  # the run, and the cell that does not end
        running.send_signal(signal.SIGTERM)
        stdout, stderr = running.communicate()
    assert running.returncode == 130
    assert json.loads(stdout.splitlines()[-1])["cells"] == 1
    (line,) = stderr.splitlines()
    again = f"dreamshare bench {endless} --out {out} --workers 2 --json"
    assert line.endswith(f"1 of 2 cells, which are kept; go on with: {again}")
    assert processes_of(out) == {}
    listed = objects(bench(endless, "--list", "--json", "--out", out).stdout)
    assert [each["finished"] for each in listed] == [False, True]


@pytest.mark.timeout(300)
def test_a_run_is_stopped_while_its_processes_start(endless: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(endless, out) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["state"] == "started"
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGINT)  # an impatient person
        _, stderr = running.communicate()
    assert running.returncode == 130
    (line,) = stderr.splitlines()
    assert "stopped; " in line
    assert processes_of(out) == {}


def test_cells_are_listed_and_mistakes_named_on_one_line(tmp_path: Path) -> None:
    answer = bench(SMOKE, "--list", "--json", "--out", tmp_path, "--only", "codream")
    assert objects(answer.stdout)[0]["finished"] is False
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(SMOKE.read_text().replace("rounds =", "rouns ="))
    answer = bench(wrong)
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert "unknown field 'rouns'" in answer.stderr
