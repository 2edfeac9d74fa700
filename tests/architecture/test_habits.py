"""scripts/habits finds what it is there to find, and the tree has none of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.packages import ROOT

PLANTS = {
    "sdk/a.py": ("    global counter\n", "no global"),
    "sdk/b.py": ("np.random.seed(1)\n", "np.random.Generator"),
    "sdk/c.py": ("await asyncio.sleep(1)\n", "a Clock"),
    "sdk/d.py": ("def f(x: dict[str, Any]) -> None: ...\n", "frozen dataclass"),
    "sdk/e.py": ("def f(**kwargs: int) -> None: ...\n", "name the arguments"),
    "sdk/f.py": ("from dreamshare_protos.v1 import frame_pb2\n", "stays in dreamshare.wire"),
    "sdk/g.py": ("x = 1\n" * 401, "401 lines"),
    "crypto/h.py": ("rng = default_rng(1)\n", "Entropy"),
    "docs/i.md": ("see " + "../" + "shared\n", "no machine's paths"),
    "docs/j.md": ("FIX" + "ME later\n", "finish it"),
}
CLEAN = {
    "sdk/dreamshare/clock.py": "await asyncio.sleep(1)\n",
    "sdk/dreamshare/wire/codec.py": "from dreamshare_protos.v1 import frame_pb2\n",
    "tests/test_x.py": "time.sleep(0)\n",
    "sdk/k.py": "x = 1\n" * 400,
}


def run_habits(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the checker in a repository at `folder`."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "habits")],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return an empty git repository."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, timeout=60)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    """Write one file, folders included."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_each_habit_is_found_where_it_is(repository: Path) -> None:
    for name, (text, _) in PLANTS.items():
        write(repository, name, text)
    verdict = run_habits(repository)
    assert verdict.returncode == 1
    for name, (_, advice) in PLANTS.items():
        lines = [line for line in verdict.stdout.splitlines() if line.startswith(name)]
        assert len(lines) == 1, (name, verdict.stdout)
        assert advice in lines[0]


def test_what_is_allowed_is_not_found(repository: Path) -> None:
    for name, text in CLEAN.items():
        write(repository, name, text)
    verdict = run_habits(repository)
    assert verdict.returncode == 0, verdict.stdout


def test_this_tree_has_none() -> None:
    verdict = run_habits(ROOT)
    assert verdict.returncode == 0, verdict.stdout
