"""The arrows of docs/adr/0005: kept by the tree as it is, broken by every kind of plant.

Each plant adds one import to a copy of the sources and names the contract that must go red, so a
contract that no longer bites is noticed. The copy comes first on PYTHONPATH and the linter runs in
a process of its own, so neither the installed packages nor its cache can hide the plant.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("sdk", "crypto", "edge_agent", "aggregator", "protos")

PLANTS = [
    ("sdk/dreamshare/protocol/plan.py", "import dreamshare_edge", "rooms:"),
    ("crypto/dreamshare_crypto/kdf.py", "import dreamshare.errors", "rooms:"),
    ("edge_agent/dreamshare_edge/log.py", "import dreamshare_aggregator", "rooms:"),
    ("sdk/dreamshare/ids.py", "import dreamshare.updates", "layers inside dreamshare"),
    ("sdk/dreamshare/wire/codec.py", "import dreamshare.transport.base", "layers inside"),
    ("sdk/dreamshare/surplus.py", "", "layers inside dreamshare"),
    ("sdk/dreamshare/algorithms/base.py", "import dreamshare_crypto.kdf", "cryptography"),
    ("sdk/dreamshare/protocol/plan.py", "import dreamshare.learning.base", "what is agreed"),
    ("sdk/dreamshare/protocol/plan.py", "import dreamshare_protos.v1", "generated protobuf"),
    ("sdk/dreamshare/protocol/plan.py", "import google.protobuf.message", "protobuf itself"),
    ("sdk/dreamshare/protocol/plan.py", "import dreamshare.clock", "the core has"),
    ("crypto/dreamshare_crypto/kdf.py", "import random", "the core has"),
    ("sdk/dreamshare/algorithms/base.py", "import asyncio", "the core has"),
    ("sdk/dreamshare/algorithms/base.py", "import torch.nn", "torch stays"),
    ("sdk/dreamshare_cli/__init__.py", "import torch", "torch stays"),
    ("sdk/dreamshare/transport/base.py", "import grpc.aio", "gRPC stays"),
    ("edge_agent/dreamshare_edge/log.py", "import rich.console", "terminals, plots"),
    ("edge_agent/dreamshare_edge/store.py", "import sqlalchemy", "databases"),
]


def lint(where: Path) -> subprocess.CompletedProcess[str]:
    """Run the linter on the sources under `where`."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=where,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(where / room) for room in ROOMS)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sources and the contracts, nothing planted."""
    folder = tmp_path_factory.mktemp("tree")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_tree_keeps_every_arrow() -> None:
    verdict = lint(ROOT)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.mark.parametrize(("module", "line", "contract"), PLANTS)
def test_a_planted_import_is_caught(copy: Path, module: str, line: str, contract: str) -> None:
    file = copy / module
    before = file.read_bytes() if file.exists() else None
    file.write_text(f"{line}\n" + (before or b"").decode().replace("from __future__", "# from"))
    try:
        verdict = lint(copy)
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_bytes(before)
    assert verdict.returncode == 1, verdict.stdout + verdict.stderr
    broken = [row for row in verdict.stdout.splitlines() if " BROKEN" in row]
    assert any(row.startswith(contract) for row in broken), verdict.stdout
