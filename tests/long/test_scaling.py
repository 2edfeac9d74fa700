"""What `dreamshare plan` says of shards, beside what they take: real processes, small vectors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.packages import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_four_shards_cost_what_the_plan_says(tmp_path: Path) -> None:
    out = tmp_path / "shards.json"
    command = [sys.executable, "-m", "benchmarks.shards", "--rounds", "3", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, timeout=550, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(out.read_text())
    assert abs(found["predicted_fall"] / found["fall"] - 1) <= 0.25
