"""Environments in which this checkout is installed as a device installs it, and what they weigh.

Rules:
- made by venv and pip under `build/footprint/`, with the versions of constraints.txt;
- one is made anew when what is installed may have changed: sources, metadata or pins. A stamp with
  their hash says so;
- nothing of the environment that measures reaches a program that runs in one of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.peers.environment import call

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / "build" / "footprint"
SOURCES = ("sdk", "crypto", "edge_agent", "aggregator", "protos")
SETTINGS = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE")
IMPORTS = 5

WEIGH = Path(__file__).with_name("peers") / "weigh.py"


def python_with(extras: str, fresh: bool = False) -> Path:
    """Return the interpreter of the environment with `dreamshare[extras]`.

    Args:
        extras: such as "onnx,grpc".
        fresh: make it anew, whatever its stamp says.

    Raises:
        PeerMissing: pip cannot install it; its last lines are in the text.
    """
    folder = ENVIRONMENTS / extras.replace(",", "-")
    python, stamp, key = folder / "bin" / "python", folder / "installed", _key()
    if not fresh and stamp.exists() and stamp.read_text(encoding="ascii") == key:
        return python
    print(f"installing dreamshare[{extras}] in {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    call([sys.executable, "-m", "venv", str(folder)])
    pins = ("-c", str(ROOT / "constraints.txt"))
    wanted = f"{ROOT}[{extras}]"
    call([str(python), "-m", "pip", "install", "-q", *pins, wanted], env=clean_environment())
    stamp.write_text(key, encoding="ascii")
    return python


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would change another interpreter."""
    kept = (name for name in os.environ if not name.startswith(("PYTHON", "VIRTUAL_ENV")))
    return {name: os.environ[name] for name in kept}


def weighed(python: Path, unwanted: Sequence[str]) -> Mapping[str, object]:
    """Return what an environment holds; see `benchmarks.peers.weigh`."""
    printed = call([str(python), "-I", str(WEIGH), *unwanted], env=clean_environment())
    found: dict[str, object] = json.loads(printed)
    return found


def import_seconds(python: Path, statement: str) -> Mapping[str, float]:
    """Return what a fresh interpreter takes to start, import and end; medians of five.

    `import_s` is its processor time, so that whatever else the machine does hardly counts;
    `import_wall_s` is by the clock.
    """
    command = [str(python), "-I", "-c", statement]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = {**clean_environment(), **one_thread}
    call(command, env=environment)  # whatever has no bytecode yet is compiled here
    spent, passed = [], []
    for _ in range(IMPORTS):
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        passed.append(time.perf_counter() - began)
        spent.append(used.ru_utime + used.ru_stime)
    return {
        "import_s": round(statistics.median(spent), 3),
        "import_wall_s": round(statistics.median(passed), 3),
    }


def _key() -> str:
    digest = hashlib.sha256()
    files = [ROOT / name for name in SETTINGS]
    for folder in SOURCES:
        files += [p for p in (ROOT / folder).rglob("*") if "__pycache__" not in p.parts]
    for path in sorted(path for path in files if path.is_file()):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
