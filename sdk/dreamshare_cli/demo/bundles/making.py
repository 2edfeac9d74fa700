"""Builds the demo's bundles from its nets (extra `export`).

Rules:
- graphs and weights are a function of the sources; errors measured on this machine and the
  versions that were installed are told beside them and do not make a bundle another one;
- a bundle that would hold the same is left as it lies, so that building again changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dreamshare.learning.export import ExportSettings, compile  # noqa: A004
from dreamshare.learning.export.cache import write_whole
from dreamshare.learning.onnx.bundle import Bundle, read_bundle
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.manifest import Manifest
from dreamshare_cli.demo import nets
from dreamshare_cli.demo.bundles.sources import MADE, sources_hash
from dreamshare_cli.demo.digits import CLASSES, SHAPE
from dreamshare_cli.demo.setting import ARCHITECTURES

SEED = 0
"""Of the exported weights; a device draws its own (`first_weights`)."""


@dataclass(frozen=True, slots=True)
class Made:
    """One bundle that was made.

    Attributes:
        path: where it lies.
        size: in bytes.
        model: SHA-256 of its graphs and weights, hexadecimal.
        changed: whether the file is another one than before.
    """

    path: Path
    size: int
    model: str
    changed: bool


def make_bundles(folder: Path, tell: Callable[[str], None] = lambda _: None) -> tuple[Made, ...]:
    """Build every bundle and `made.json` in an existing folder.

    Raises:
        ExportError: the exporter refuses a net.
    """
    made = tuple(_make(folder, architecture, tell) for architecture in ARCHITECTURES)
    record = {"sources": sources_hash(), "models": {each.path.stem: each.model for each in made}}
    write_whole(folder / MADE, (json.dumps(record, indent=1) + "\n").encode())
    return made


def likeness(manifest: Manifest) -> Manifest:
    """Return what two bundles of the same sources share: all but measured errors and versions."""
    graphs = {
        name: replace(graph, error=0.0, torch_error=0.0) for name, graph in manifest.graphs.items()
    }
    return replace(manifest, graphs=graphs, torch="", exporter="")


def _make(folder: Path, architecture: str, tell: Callable[[str], None]) -> Made:
    tell(architecture)
    bundle = compile(
        nets.build(architecture, SEED),
        SHAPE,
        classes=CLASSES,
        settings=ExportSettings(name=architecture),
    )
    path = folder / f"{architecture}.dream"
    changed = not _holds(path, bundle)
    if changed:
        write_whole(path, bundle.to_bytes())
    return Made(path, path.stat().st_size, bundle.manifest.model, changed)


def _holds(path: Path, bundle: Bundle) -> bool:
    try:
        return likeness(read_bundle(path).manifest) == likeness(bundle.manifest)
    except BundleError:
        return False
