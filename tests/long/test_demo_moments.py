"""`dreamshare demo --algorithm moments --drop` for real: a device dies between its two sums."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import tethered

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def test_moments_alone_outlive_a_device(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dreamshare_cli", "demo", "--out", tmp_path / "out", "--json"]
    done = subprocess.run(
        tethered([*command, "--algorithm", "moments", "--drop", "--cycles", "2"]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "device-4 is killed now" in done.stderr
    body = json.loads(done.stdout)
    assert (body["mean_codream"], list(body["algorithms"])) == (None, ["moments"])
    assert (body["rounds"], body["aggregations"], body["dropped"]) == (1, 2, 1)
    assert body["secure_aggregation"] is True
    assert [c["alive"] for c in body["clients"]] == [True, True, True, False]
    assert body["mean_moments"] - body["mean_independent"] >= 5
    assert len(body["clients"][0]["independent_curve"]) == 1 + 2
    assert not (tmp_path / "out" / "dreams.png").exists()
