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


def test_a_stopped_run_leaves_no_process_and_keeps_what_is_finished(tmp_path: Path) -> None:
    endless = tmp_path / "endless.toml"
    endless.write_text(
        SMOKE.read_text()
        .replace('name = "smoke"', 'name = "endless"')
        .replace("rounds = 2\n", "rounds = 5000\n")
    )
    command = [sys.executable, "-m", "dreamshare_cli", "bench", str(endless), "--json"]
    command += ["--only", "independent", "--out", str(tmp_path), "--workers", "1"]
    with subprocess.Popen(tethered(command), stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        while json.loads(running.stdout.readline())["state"] != "round":
            pass
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        assert len(children) == 1
        running.send_signal(signal.SIGTERM)
        *_, last = running.stdout.read().splitlines()
        assert running.wait(60) == 130
    assert json.loads(last)["cells"] == 0
    assert not Path(f"/proc/{children[0]}").exists()
    assert len(list((tmp_path / "cells").iterdir())) == 1


def test_cells_are_listed_and_mistakes_named_on_one_line(tmp_path: Path) -> None:
    answer = bench(SMOKE, "--list", "--json", "--out", tmp_path, "--only", "codream")
    assert objects(answer.stdout)[0]["finished"] is False
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(SMOKE.read_text().replace("rounds =", "rouns ="))
    answer = bench(wrong)
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert "unknown field 'rouns'" in answer.stderr
