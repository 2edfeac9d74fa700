"""What a device pays for its agent: the modules that it loads, and the distributions it installs.

The figures that these rules keep small are measured by `python -m benchmarks.footprint`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.packages import ROOT, loaded_by
from tests.integration.bundles import small_bundle

AGENT = (
    "import dreamshare_edge.__main__\n"
    "from dreamshare import GrpcLink, MqttLink\n"
    "from dreamshare.learning.onnx import OnnxLearner, Runtime, read_bundle\n"
    "from dreamshare_edge import EdgeAgent, LinuxConditions, load_config"
)
"""What `python -m dreamshare_edge` imports with a bundle, whatever its transport."""

ELSEWHERE = frozenset(
    {
        *("torch", "safetensors", "onnx", "sympy"),  # the workstation's
        *("click", "rich", "segno", "typer"),  # the command's
        *("aiosqlite", "asyncpg", "opentelemetry", "prometheus_client", "sqlalchemy"),
        *("dreamshare_aggregator", "starlette", "structlog", "uvicorn", "uvloop"),
        # the aggregator's; gRPC itself imports its health and reflection where they are installed
        *("matplotlib", "sklearn"),  # the demo's
        *("PIL", "jeepney", "keyring"),  # a device's, when its settings want them
    }
)

AGENT_NEEDS = {"cryptography", "numpy", "protobuf", "grpcio", "onnxruntime"}
"""Distributions that an agent with a bundle asks for; with what they ask for themselves and this
one, `dreamshare[onnx,grpc]` is 11 (docs/performance.md)."""


def test_an_agent_loads_nothing_of_workstation_aggregator_command_or_demo() -> None:
    assert loaded_by(AGENT) & ELSEWHERE == set()


def test_a_device_that_waits_has_not_loaded_onnxruntime(tmp_path: Path) -> None:
    bundle = tmp_path / "small.dream"
    bundle.write_bytes(small_bundle().to_bytes())
    waiting = (
        f"{AGENT}\nfrom pathlib import Path\n"
        f"learner = OnnxLearner(read_bundle(Path({str(bundle)!r})), runtime=Runtime(threads=1))\n"
        "learner.restore(learner.snapshot())"
    )
    assert "onnxruntime" not in loaded_by(waiting)


@pytest.mark.parametrize("words", [["--version"], ["--print-config"], ["--doctor"], ["--help"]])
def test_the_agent_runs_where_none_of_them_is_installed(words: list[str], tmp_path: Path) -> None:
    script = (
        f"import sys\nsys.modules.update(dict.fromkeys({sorted(ELSEWHERE)}))\n"
        f"from dreamshare_edge.__main__ import main\nsys.exit(main({words}))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert answer.stdout
    assert not answer.stderr
    assert answer.returncode == (2 if words == ["--doctor"] else 0)  # there are no settings here


def test_an_agent_asks_for_five_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["onnx"], *extras["grpc"]]
    assert {re.split(r"[\[<>=!~; ]", text, maxsplit=1)[0] for text in wanted} == AGENT_NEEDS
