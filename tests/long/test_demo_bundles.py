"""The demo's bundles are built again, as `make bundles` does, and come out as they are kept."""

from __future__ import annotations

from pathlib import Path

from dreamshare.learning.onnx.bundle import read_bundle
from dreamshare_cli.demo.bundles import demo_bundle
from dreamshare_cli.demo.bundles.making import likeness, make_bundles
from dreamshare_cli.demo.bundles.sources import MADE


def test_building_again_gives_the_same_graphs_and_weights(tmp_path: Path) -> None:
    first = make_bundles(tmp_path)
    assert all(made.changed for made in first)
    for made in first:
        ours, kept = read_bundle(made.path), demo_bundle(made.path.stem)
        assert likeness(ours.manifest) == likeness(kept.manifest)
        assert ours.members == kept.members
    assert (tmp_path / MADE).is_file()

    bytes_before = {made.path: made.path.read_bytes() for made in first}
    first[0].path.write_bytes(b"damaged")
    second = make_bundles(tmp_path)
    assert [made.changed for made in second] == [True, False, False, False]
    assert {made.path: made.path.read_bytes() for made in second}.keys() == bytes_before.keys()
    assert all(bytes_before[made.path] == made.path.read_bytes() for made in second)
