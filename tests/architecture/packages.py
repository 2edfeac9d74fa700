"""What the architecture tests look at: the repository's root, its rooms and their modules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ROOMS = {
    "dreamshare": ROOT / "sdk" / "dreamshare",
    "dreamshare_aggregator": ROOT / "aggregator" / "dreamshare_aggregator",
    "dreamshare_cli": ROOT / "sdk" / "dreamshare_cli",
    "dreamshare_crypto": ROOT / "crypto" / "dreamshare_crypto",
    "dreamshare_edge": ROOT / "edge_agent" / "dreamshare_edge",
    "dreamshare_protos": ROOT / "protos" / "dreamshare_protos",
}
"""Import package -> its folder."""


def sources(package: str) -> list[Path]:
    """Return every Python file of a package, sorted."""
    return sorted(ROOMS[package].rglob("*.py"))


def modules() -> list[str]:
    """Return the dotted name of every module of every package, sorted."""
    names = []
    for package, folder in ROOMS.items():
        for path in sources(package):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(names)


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after `statement`."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    return {name.partition(".")[0] for name in json.loads(answer.stdout)}
