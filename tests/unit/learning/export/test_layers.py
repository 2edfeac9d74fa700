"""Each layer of `layers` by itself: every graph against torch in float64, batch 1 among the sizes."""

from __future__ import annotations

import pytest

from dreamshare.learning.export import ExportError, ExportSettings, compile
from dreamshare.learning.onnx.bundle import read_bundle
from dreamshare.learning.onnx.trial import try_graphs
from tests.unit.learning.export.layers import CLASSES, LAYERS, Layer

ONCE = ExportSettings(batches=1)


@pytest.mark.parametrize(
    "layer", [each for each in LAYERS if not each.instead], ids=lambda l: l.name
)
def test_is_exported(layer: Layer) -> None:
    """`compile` compares forward, dream gradient and training steps itself, batches of 3 and 8."""
    bundle = compile(layer.net(), layer.shape, classes=CLASSES, settings=ONCE)
    try_graphs(read_bundle(bundle.to_bytes()))


@pytest.mark.parametrize("layer", [each for each in LAYERS if each.instead], ids=lambda l: l.name)
def test_is_refused(layer: Layer) -> None:
    with pytest.raises(ExportError, match=layer.instead.replace(".", r"\.")):
        compile(layer.net(), layer.shape, classes=CLASSES, settings=ONCE)
