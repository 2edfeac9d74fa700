"""Data of an agent without code: read as settings say, refused in words where they do not fit."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.manifest import Manifest
from dreamshare_edge.bundled import bundled_equipment, examples_of
from dreamshare_edge.config import AgentConfig, LearnerConfig, load_config
from dreamshare_edge.data_config import DataConfig
from dreamshare_edge.equipment import equipment_of
from tests.integration.bundles import (
    CLASSES,
    examples,
    small_bundle,
    write_arrays,
    write_pictures,
    write_table,
)

NAMES = tuple(f"digit-{number}" for number in range(CLASSES))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return small_bundle()


@pytest.fixture
def manifest(bundle: Bundle) -> Manifest:
    return bundle.manifest


def test_the_same_examples_from_pictures_a_table_and_arrays(
    tmp_path: Path, manifest: Manifest
) -> None:
    write_pictures(tmp_path / "photos", 40, 1)
    columns = write_table(tmp_path / "table.csv", 40, 1)
    write_arrays(tmp_path / "examples.npz", 40, 1)
    x, _ = examples(40, 1)
    wanted = sorted(((x / 255 - 0.5) / 0.25).sum(axis=(1, 2, 3)))
    for config in (
        DataConfig(images=tmp_path / "photos", held_out=0.0),
        DataConfig(csv=tmp_path / "table.csv", columns=columns, classes=NAMES, held_out=0.0),
        DataConfig(arrays=tmp_path / "examples.npz", held_out=0.0),
    ):
        data = examples_of(config, manifest, seed=0)
        assert data.class_counts(CLASSES).tolist() == [4] * CLASSES
        batch = next(data.batches(np.random.default_rng(0), 40))
        found = sorted(batch.x_NCHW.sum(axis=(1, 2, 3)))
        np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_windows_of_a_series(tmp_path: Path, manifest: Manifest) -> None:
    rows = [f"{n},{-n},{'ab'[n // 20]},{NAMES[n // 10]}" for n in range(40)]
    (tmp_path / "walks.csv").write_text("x,y,who,label\n" + "\n".join(rows) + "\n")
    config = DataConfig(
        csv=tmp_path / "walks.csv",
        columns=("x", "y"),
        classes=NAMES,
        window=10,
        stride=5,
        group="who",
        held_out=0.0,
    )
    plain = dataclasses.replace(manifest.normalisation, mean=(), deviation=())
    series = dataclasses.replace(manifest, shape=(2, 10), normalisation=plain)
    assert len(examples_of(config, series, 0)) == 6
    with pytest.raises(ConfigError, match=r"shape \(2, 10\); the bundle 'small' takes \(1, 8, 8\)"):
        examples_of(config, dataclasses.replace(manifest, normalisation=plain), 0)


def test_what_is_held_out_follows_from_the_seed(tmp_path: Path, manifest: Manifest) -> None:
    write_arrays(tmp_path / "examples.npz", 200, 1)
    config = DataConfig(arrays=tmp_path / "examples.npz", held_out=0.25)
    held = [examples_of(config, manifest, seed).held_out().x_NCHW for seed in (1, 1, 2)]
    assert len(held[0]) == 50
    assert np.array_equal(held[0], held[1])
    assert not np.array_equal(held[0], held[2])


def _beyond(folder: Path) -> DataConfig:
    np.savez(folder / "b.npz", x=np.zeros((3, 1, 8, 8)), y=np.array([0, 1, 10]))
    return DataConfig(arrays=folder / "b.npz")


def _other_shape(folder: Path) -> DataConfig:
    np.savez(folder / "o.npz", x=np.zeros((3, 1, 4, 16)), y=np.zeros(3, np.int64))
    return DataConfig(arrays=folder / "o.npz")


def _few_folders(folder: Path) -> DataConfig:
    write_pictures(folder / "photos", 40, 1)
    shutil.rmtree(folder / "photos" / "digit-3")
    return DataConfig(images=folder / "photos")


def _few_columns(folder: Path) -> DataConfig:
    columns = write_table(folder / "table.csv", 20, 1)
    return DataConfig(csv=folder / "table.csv", columns=columns[:-1], classes=NAMES)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda _: DataConfig(), "name images, csv or arrays"),
        (lambda f: DataConfig(arrays=f / "none.npz"), "there is no file"),
        (lambda f: DataConfig(images=f / "none"), "there is no folder"),
        (
            lambda f: DataConfig(csv=f / "none.csv", columns=("a",), classes=NAMES),
            "cannot read .*none.csv",
        ),
        (_beyond, "an example of class 10; the bundle 'small' has 10 classes"),
        (_other_shape, r"shape \(1, 4, 16\); the bundle 'small' takes \(1, 8, 8\)"),
        (_few_folders, "has 9 folders; the bundle 'small' has 10 classes"),
        (_few_columns, "63 columns do not make an example of shape"),
        (lambda f: DataConfig(images=f, classes=("a", "b")), "classes names 2; the bundle"),
    ],
)
def test_data_that_do_not_fit(tmp_path: Path, manifest: Manifest, made, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        examples_of(made(tmp_path), manifest, 0)


def test_pictures_for_a_net_that_takes_none(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(ConfigError, match="are no pictures"):
        examples_of(DataConfig(images=tmp_path), dataclasses.replace(manifest, shape=(6, 128)), 0)


def test_settings_make_the_equipment(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "net.dream").write_bytes(bundle.to_bytes())
    write_arrays(tmp_path / "examples.npz", 50, 1)
    (tmp_path / "agent.toml").write_text(
        'threads = 2\n[learner]\nbundle = "net.dream"\n[data]\narrays = "examples.npz"\n'
    )
    made = equipment_of(load_config(tmp_path / "agent.toml"))
    assert made.label == "small"
    assert made.learner.classes == CLASSES
    assert made.accuracy() is not None


def test_a_bundle_that_cannot_be_used(tmp_path: Path, bundle: Bundle) -> None:
    write_arrays(tmp_path / "examples.npz", 50, 1)
    data = DataConfig(arrays=tmp_path / "examples.npz")
    with pytest.raises(ConfigError, match="there is no bundle"):
        bundled_equipment(LearnerConfig(bundle=tmp_path / "none.dream"), data)
    (tmp_path / "net.dream").write_bytes(bundle.to_bytes())
    learner = LearnerConfig(bundle=tmp_path / "net.dream", providers=("NoSuchProvider",))
    with pytest.raises(ConfigError, match="NoSuchProvider"):
        bundled_equipment(learner, data)
    with pytest.raises(ConfigError, match="nothing computes"):
        equipment_of(AgentConfig())


def test_without_onnxruntime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [n for n in sys.modules if n.startswith("dreamshare.learning.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "dreamshare_edge.bundled")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"pip install 'dreamshare\[onnx\]'"):
        equipment_of(AgentConfig(learner=LearnerConfig(bundle=Path("net.dream"))))
