"""An environment beside ours in which a peer's release runs as its users install it.

Rules:
- made once, under `build/peers/`, by venv and pip with the release pinned here;
- nothing of it is imported into our process: the two meet over files and one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

FLOWER = "flwr==1.41.0"

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / "build" / "peers"


class PeerMissing(Exception):
    """The peer's release cannot be installed or run here."""


def python_of(requirement: str) -> Path:
    """Return the interpreter of the requirement's environment, made where it is not there yet.

    Raises:
        PeerMissing: pip found no such release; its last lines are in the text.
    """
    folder = ENVIRONMENTS / requirement.replace("==", "-")
    python = folder / "bin" / "python"
    stamp = folder / "installed"
    if not stamp.exists():
        print(f"installing {requirement} beside (once)", file=sys.stderr)
        call([sys.executable, "-m", "venv", str(folder)])
        call([str(python), "-m", "pip", "install", "-q", requirement])
        stamp.touch()
    return python


def run_peer(requirement: str, script: str, setting: Mapping[str, object]) -> dict[str, object]:
    """Run a script of this folder in the requirement's environment and return what it prints.

    One thread per numerical library, as on our side.
    """
    python = python_of(requirement)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(setting, file)
        file.flush()
        path = Path(__file__).with_name(script)
        printed = call([str(python), str(path), file.name], env={**os.environ, **threads})
    figures: dict[str, object] = json.loads(printed.strip().splitlines()[-1])
    return figures


def call(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it prints.

    Raises:
        PeerMissing: it failed; its last lines are in the text.
    """
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
    if done.returncode:
        tail = " | ".join(done.stderr.strip().splitlines()[-3:])
        raise PeerMissing(f"{' '.join(command[:4])} failed: {tail}")
    return done.stdout
