"""`dreamshare demo` where torch cannot be imported, and with both runtimes in one cohort."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import tethered

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

REFUSES = """
import sys

class Refusing:
    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in ("torch", "safetensors"):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

sys.meta_path.insert(0, Refusing())
"""
"""A `sitecustomize`: every process of the demo runs it before anything else."""


@pytest.fixture
def torchless(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which no process can import torch."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(REFUSES)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def demo(
    out: Path, *options: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a short demo of three devices to its end."""
    command = [sys.executable, "-m", "dreamshare_cli", "demo", "--out", str(out), "--json"]
    return subprocess.run(
        tethered([*command, "--devices", "3", "--cycles", "1", *options]),
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_torch_the_devices_compute_with_onnxruntime(
    tmp_path: Path, torchless: dict[str, str]
) -> None:
    refused = subprocess.run(
        [sys.executable, "-c", "import torch"], env=torchless, capture_output=True, text=True
    )
    assert "No module named 'torch'" in refused.stderr
    done = demo(tmp_path / "out", env=torchless)
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert (body["runtime"], body["secure_aggregation"]) == ("onnx", True)
    assert [c["runtime"] for c in body["clients"]] == ["onnx"] * 3
    # One cycle of five, three devices; the whole run gains some twenty points.
    assert body["mean_codream"] - body["mean_independent"] >= 2
    assert body["mean_moments"] >= 85
    assert "onnxruntime, no PyTorch" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize("runtime", ["mixed", "torch"])
def test_what_needs_torch_is_refused_in_one_line(
    tmp_path: Path, torchless: dict[str, str], runtime: str
) -> None:
    done = demo(tmp_path / "out", "--runtime", runtime, env=torchless)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"--runtime {runtime}" in line
    assert "pip install 'dreamshare[demo,torch]'" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_both_runtimes_learn_in_one_cohort(tmp_path: Path) -> None:
    done = demo(tmp_path / "out", "--runtime", "mixed")
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert (body["runtime"], body["secure_aggregation"]) == ("mixed", True)
    assert [c["runtime"] for c in body["clients"]] == ["torch", "onnx", "torch"]
    for name, run in body["algorithms"].items():
        seen = [c["algorithms"][name]["sums"] for c in body["clients"]]
        assert seen == [run["aggregations"]] * 3
        assert run["mean"] - body["mean_independent"] >= 2
