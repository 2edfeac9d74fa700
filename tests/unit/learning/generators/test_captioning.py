"""The real captioner's code, from pixels to words, on random weights and without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dreamshare.errors import ConfigError
from dreamshare.learning.captioned import CaptionedData, TextCaptioner
from dreamshare.learning.data import ArrayData
from dreamshare.learning.generators import digest_of
from dreamshare.learning.torch import captioning, weights

# What the libraries say about themselves while they load is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

SETTINGS = captioning.CaptionerSettings(low=-1.0, high=1.0, words=4, batch=3)
PLAIN = np.stack([np.full((1, 8, 8), v) for v in (-1.0, -0.5, 0.0, 0.5, 1.0)]).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.unit.learning.generators.tiny_captioner import build_captioner

    return build_captioner(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture(scope="module")
def captioner(folder: Path) -> TextCaptioner:
    return captioning.open_captioner(str(folder), digest_of(folder), SETTINGS)


@pytest.fixture
def other(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "other"))


def test_texts_of_pictures_whatever_the_batch(captioner: TextCaptioner) -> None:
    texts = captioner.captions(PLAIN)
    assert len(texts) == 5
    assert len(set(texts)) > 1, "the model looks at them"
    assert all(1 <= len(text.split()) <= 4 for text in texts)
    assert [captioner.captions(PLAIN[i : i + 1])[0] for i in range(5)] == list(texts)
    assert captioner.captions(PLAIN[:0]) == ()


def test_a_grey_picture_reads_as_the_same_one_in_colours(captioner: TextCaptioner) -> None:
    assert captioner.captions(np.repeat(PLAIN, 3, axis=1)) == captioner.captions(PLAIN)
    with pytest.raises(ConfigError, match="1 or 3 channels"):
        captioner.captions(np.zeros((1, 2, 8, 8), np.float32))
    with pytest.raises(ConfigError, match="1 or 3 channels"):
        captioner.captions(np.zeros((1, 8), np.float32))


def test_values_outside_the_range_are_its_ends(captioner: TextCaptioner) -> None:
    assert captioner.captions(9 * PLAIN[[0, 4]]) == captioner.captions(PLAIN[[0, 4]])


def test_a_device_offers_what_its_captioner_says(captioner: TextCaptioner) -> None:
    data = CaptionedData(ArrayData(PLAIN, np.zeros(5, np.int64)), captioner, bytes)
    said = data.captions(data, 9, 1)
    assert {each.text for each in said} == set(captioner.captions(PLAIN))


def test_other_weights_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="have the digest"):
        captioning.open_captioner(str(folder), "0" * 64, SETTINGS)


def test_weights_that_would_have_to_be_unpickled_are_refused(other: Path) -> None:
    tensors = load_file(other / "model.safetensors")
    (other / "model.safetensors").unlink()
    torch.save(tensors, other / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="no image-to-text model"):
        captioning.open_captioner(str(other), digest_of(other), SETTINGS)


def test_weights_that_are_not_whole_are_refused(other: Path) -> None:
    """The library would draw what is missing."""
    tensors = load_file(other / "model.safetensors")
    lost = next(name for name in sorted(tensors) if "qformer" in name)
    del tensors[lost]
    save_file(tensors, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match="lack 1 tensors"):
        captioning.open_captioner(str(other), digest_of(other), SETTINGS)


@pytest.mark.parametrize("beside", [True, False])
def test_code_of_a_repository_is_not_run(other: Path, tmp_path: Path, beside: bool) -> None:
    """Beside the weights it is refused; elsewhere it is not fetched."""
    if beside:
        (other / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    config = json.loads((other / "config.json").read_text())
    name = "own.Own" if beside else "nobody/nothing--own.Own"
    config |= {"model_type": "own", "auto_map": {"AutoModelForImageTextToText": name}}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="come with code" if beside else "no image-to-text model"):
        captioning.open_captioner(str(other), digest_of(other), SETTINGS)
    assert not (tmp_path / "ran").exists()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="no image-to-text model"):
        captioning.open_captioner(str(tmp_path), digest_of(tmp_path), SETTINGS)


def test_an_id_of_the_hub_is_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no folder and not in the hub's cache"):
        captioning.open_captioner("nobody/nothing", "0" * 64, SETTINGS)
    asked = []

    def fetched(name: str, *, local_files_only: bool, allow_patterns: list[str]) -> str:
        assert "*.safetensors" in allow_patterns and "*.py" not in allow_patterns
        asked.append((name, local_files_only))
        return str(folder)

    monkeypatch.setattr(weights, "snapshot_download", fetched)
    settings = captioning.CaptionerSettings(offline=False)
    assert captioning.open_captioner("someone/tiny", digest_of(folder), settings).captions(PLAIN)
    assert asked == [("someone/tiny", False)]


@pytest.mark.parametrize("change", [{"low": 1.0}, {"words": 0}, {"words": 201}, {"batch": 0}])
def test_settings_out_of_range(change) -> None:
    with pytest.raises(ConfigError):
        captioning.CaptionerSettings(**change)
