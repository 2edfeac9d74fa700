"""The reference implementation is its own: nothing of Dreamshare, no numpy, no cryptography."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "reference"


def imported(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, and tests.* in full."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None
            names = [node.module]
        for name in names:
            found.add(name if name.startswith("tests") else name.split(".")[0])
    return found


def test_reference_shares_no_code_with_the_package() -> None:
    files = sorted(FOLDER.glob("*.py"))
    assert len(files) >= 15
    for path in files:
        for name in imported(path):
            own = name == "tests.reference" or name.startswith("tests.reference.")
            assert own or name in sys.stdlib_module_names, f"{path.name} imports {name}"
            assert name not in {"importlib", "subprocess", "ctypes"}, path.name


def test_files_of_the_reference_are_short() -> None:
    lengths = {p.name: len(p.read_text().splitlines()) for p in FOLDER.glob("*.py")}
    assert max(lengths.values()) <= 250, lengths
