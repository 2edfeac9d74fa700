"""The hash of what the demo's bundles are made from.

Rules:
- what counts is what the code says: comments, docstrings and layout do not;
- every module of the exporter counts, so that a new one does by itself, but those that leave no
  trace in a graph; beside them the demo's nets, their first weights, and the format's versions.
"""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

from dreamshare import learning
from dreamshare.learning.onnx.bundle import read_bundle
from dreamshare.learning.onnx.manifest import FORMAT, OPSET
from dreamshare_cli import demo

TRACELESS = frozenset(
    {
        "bilinear.py",
        "cache.py",
        "check.py",
        "comparing.py",
        "inspection.py",
        "models.py",
        "program_check.py",
        "program_functions.py",
        "program_graphs.py",
        "program_sources.py",
        "quantized.py",
        "refusals.py",
        "supported.py",
        "versions.py",
    }
)
"""Modules of the exporter that keep, check or refuse bundles, and those for programs, which the
demo's bundles do not have."""

OF_THE_DEMO = ("first_weights.py", "nets.py")
MADE = "made.json"


def sources() -> list[Path]:
    """Return the files whose meaning counts, in a fixed order."""
    exporter = Path(*learning.__path__) / "export"  # not imported: that takes torch
    translating = sorted(exporter.rglob("*.py"))
    ours = [Path(*demo.__path__) / name for name in OF_THE_DEMO]
    return [*(path for path in translating if path.name not in TRACELESS), *ours]


def sources_hash() -> str:
    """Return the SHA-256 of what the sources say, hexadecimal."""
    digest = hashlib.sha256(f"format {FORMAT}, opset {OPSET}".encode())
    for path in sources():
        digest.update(hashlib.sha256(f"{path.name}\n{meaning(path.read_text())}".encode()).digest())
    return digest.hexdigest()


def outdated(folder: Path) -> str:
    """Say what a folder's `made.json` and bundles disagree about with the sources; "" for nothing.

    Raises:
        BundleError: a bundle is damaged.
    """
    made = json.loads((folder / MADE).read_text())
    if made["sources"] != sources_hash():
        return "the demo's nets or the exporter changed since its bundles were built"
    held = {file.stem: read_bundle(file).manifest.model for file in folder.glob("*.dream")}
    if made["models"] != held:
        return "made.json and the bundles beside it are not of one build"
    return ""


def meaning(source: str) -> str:
    """Return a text that two sources share exactly when they say the same.

    Fields that are empty are left out: later Pythons add some.
    """
    return _told(ast.parse(source))


def _told(node: object) -> str:
    match node:
        case ast.AST():
            fields = [
                f"{name}={_told(_undocumented(node, value))}"
                for name, value in ast.iter_fields(node)
                if value is not None and value != []
            ]
            return f"{type(node).__name__}({','.join(fields)})"
        case list():
            return f"[{','.join(_told(each) for each in node)}]"
    return repr(node)


def _undocumented(owner: ast.AST, value: object) -> object:
    """Return the statements of a module, class or function without its docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if not isinstance(owner, documented) or value is not owner.body:
        return value
    return owner.body if ast.get_docstring(owner) is None else owner.body[1:]
