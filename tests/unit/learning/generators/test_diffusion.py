"""The real pipeline code, from tokenizer to pixels, on random weights and without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dreamshare.errors import ConfigError
from dreamshare.learning.generators import Generator, Request, digest_of
from dreamshare.learning.torch import diffusion, weights

# What the libraries say about themselves while they load is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


SHAPE = (1, 12, 12)
SETTINGS = diffusion.DiffusionSettings(low=-1.0, high=1.0, steps=2, negative="grey", batch=4)
WANTED = [Request(i % 2, 1000 + i, text=f"a photo of a {('dog', 'cat')[i % 2]}") for i in range(5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.unit.learning.generators.tiny_pipeline import build_pipeline

    return build_pipeline(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture(scope="module")
def generator(folder: Path) -> Generator:
    return diffusion.open_pipeline(str(folder), digest_of(folder), SHAPE, SETTINGS)


def test_pictures_of_texts(generator: Generator, folder: Path) -> None:
    x_MCHW = generator.generate(WANTED)
    assert x_MCHW.shape == (5, *SHAPE) and x_MCHW.dtype == np.float32
    assert -1 <= x_MCHW.min() < x_MCHW.max() <= 1
    assert generator.info().digest == digest_of(folder)


def test_a_picture_is_its_seeds_and_its_texts_whatever_the_batch(generator: Generator) -> None:
    whole = generator.generate(WANTED)
    apart = np.concatenate([generator.generate([each]) for each in WANTED])
    np.testing.assert_allclose(apart, whole, atol=1e-4)
    other_seed = generator.generate([Request(0, 999, text=WANTED[0].text)])
    other_text = generator.generate([Request(0, WANTED[0].seed, text=WANTED[1].text)])
    assert np.abs(other_seed - whole[:1]).max() > 1e-3
    assert np.abs(other_text - whole[:1]).max() > 0


def test_colours_are_kept_where_there_are_three(folder: Path) -> None:
    settings = diffusion.DiffusionSettings(steps=1, size=16)
    made = diffusion.open_pipeline(str(folder), digest_of(folder), (3, 8, 8), settings)
    x_MCHW = made.generate(WANTED[:1])
    assert x_MCHW.shape == (1, 3, 8, 8)
    assert np.abs(x_MCHW[:, 0] - x_MCHW[:, 1]).max() > 1e-3
    with pytest.raises(ConfigError, match="1 or 3 channels"):
        diffusion.open_pipeline(str(folder), digest_of(folder), (2, 8, 8), settings)


def test_other_weights_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="have the digest"):
        diffusion.open_pipeline(str(folder), "0" * 64, SHAPE, SETTINGS)


def test_weights_that_would_have_to_be_unpickled_are_refused(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    next(iter((other / "unet").glob("*.safetensors"))).unlink()
    torch.save({}, other / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(ConfigError, match="no text-to-image pipeline"):
        diffusion.open_pipeline(str(other), digest_of(other), SHAPE, SETTINGS)


def test_code_beside_the_weights_is_not_run(tmp_path: Path, folder: Path) -> None:
    """A pipeline may name a class of its own; whether the library asks first is its version's."""
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    index = json.loads((other / "model_index.json").read_text())
    index["_class_name"] = ["own", "Pipeline"]
    (other / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigError, match="come with code"):
        diffusion.open_pipeline(str(other), digest_of(other), SHAPE, SETTINGS)
    assert not (tmp_path / "ran").exists()


def test_a_repository_that_is_not_cached_is_refused_offline() -> None:
    with pytest.raises(ConfigError, match="no folder and not in the hub's cache"):
        diffusion.open_pipeline("nobody/nothing", "0" * 64, SHAPE, SETTINGS)


def test_a_repository_of_the_hub_is_fetched_where_that_is_allowed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetched(name: str, *, local_files_only: bool, allow_patterns: list[str]) -> str:
        assert "*.safetensors" in allow_patterns and "*.py" not in allow_patterns
        asked.append((name, local_files_only))
        return str(folder)

    monkeypatch.setattr(weights, "snapshot_download", fetched)
    settings = diffusion.DiffusionSettings(steps=1, offline=False)
    made = diffusion.open_pipeline("someone/tiny", digest_of(folder), SHAPE, settings)
    assert asked == [("someone/tiny", False)]
    assert made.info().trained_on == "someone/tiny"
    with pytest.raises(ConfigError, match="have the digest"):
        diffusion.open_pipeline("someone/tiny", "0" * 64, SHAPE, settings)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("weights are elsewhere")
    with pytest.raises(ConfigError, match="no weights at"):
        digest_of(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="no text-to-image pipeline"):
        diffusion.open_pipeline(str(tmp_path), digest_of(tmp_path), SHAPE, SETTINGS)


@pytest.mark.parametrize("change", [{"low": 1.0}, {"steps": 0}, {"guidance": -1.0}, {"batch": 0}])
def test_settings_out_of_range(change) -> None:
    with pytest.raises(ConfigError):
        diffusion.DiffusionSettings(**change)
