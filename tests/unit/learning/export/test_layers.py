"""Each layer of `layers` by itself: every graph against torch in float64; batch 1, too.

Of each family the first and the last are exported in `make test`, all others in `make test-long`.
"""

from __future__ import annotations

import pytest

from dreamshare.learning.export import ExportError, ExportSettings, compile
from dreamshare.learning.onnx.bundle import read_bundle
from dreamshare.learning.onnx.trial import try_graphs
from tests.unit.learning.export.layers import CLASSES, LAYERS, Layer

ONCE = ExportSettings(batches=1)


def _name(layer: Layer) -> str:
    return layer.name


EXPORTED = [each for each in LAYERS if not each.instead]
FIRST_AND_LAST = {
    name for way in (EXPORTED, EXPORTED[::-1]) for name in {e.family: e.name for e in way}.values()
}


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(each, marks=() if each.name in FIRST_AND_LAST else pytest.mark.long)
        for each in EXPORTED
    ],
    ids=_name,
)
def test_is_exported(layer: Layer) -> None:
    """`compile` compares forward, dream gradient and training steps itself, batches of 3 and 8."""
    bundle = compile(layer.net(), layer.shape, classes=CLASSES, settings=ONCE)
    try_graphs(read_bundle(bundle.to_bytes()))


@pytest.mark.parametrize("layer", [each for each in LAYERS if each.instead], ids=_name)
def test_is_refused(layer: Layer) -> None:
    with pytest.raises(ExportError, match=layer.instead.replace(".", r"\.")):
        compile(layer.net(), layer.shape, classes=CLASSES, settings=ONCE)
