"""Captions in words under masks: from devices that allow it, through a sum, to a pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.catalog import algorithm_of
from dreamshare.algorithms.generative import synthesis
from dreamshare.learning.captioned import CaptionedData, captioned_of
from dreamshare.learning.generators import digest_of
from dreamshare.protocol.messages import Cohort
from dreamshare.protocol.outcomes import RoundDeclined
from dreamshare.simulate import SimulatedDevice, SimulationResult, simulate
from dreamshare_crypto.entropy import SeededEntropy
from tests.algorithms.describing import (
    HIGH,
    LOW,
    TEXT,
    Painter,
    captioned,
    describers,
    generative,
    let,
)
from tests.algorithms.oracle import Device, run
from tests.algorithms.toy import ToyLearner

SAYINGS = (("a dark {name}",), ("a wide {name}",), ("a torn {name}",), ("a small {name}",))
PAINTED = {"images": 6, "sampling_steps": 2, "image_bits": 32, "guidance": 7.5}
ROOMY = TEXT | {"text_slots": 512, "text_captions": 3, "warm_up_epochs": 0, "fit_steps": 1}


def crew(sayings: tuple[tuple[str, ...], ...] = SAYINGS) -> list[Device]:
    devices = describers(ToyLearner, len(sayings))
    return [
        captioned(d, texts, i) for i, (d, texts) in enumerate(zip(devices, sayings, strict=True))
    ]


def masked(config: object, devices: list[Device]) -> SimulationResult:
    virtual = [SimulatedDevice(d.learner, d.data) for d in devices]
    return simulate(config, virtual, cohort=Cohort(4, len(virtual)))


def test_every_letter_survives_the_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are levels of the encoding: the texts are those of exact sums, to the letter."""
    exact, hidden = Painter(), Painter()
    config = generative(**ROOMY)
    monkeypatch.setattr(synthesis, "opened", lambda config: exact)
    wanted = run(algorithm_of(config), crew()).done.metrics
    monkeypatch.setattr(synthesis, "opened", lambda config: hidden)
    result = masked(config, crew())
    assert result.aggregations == 2
    assert result.metrics["captions"] == wanted["captions"] == 12
    assert hidden.requests == exact.requests
    assert any(each.text == "a photo of a shoe, a torn shoe" for each in hidden.requests)


def test_a_device_without_captions_declines_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(synthesis, "opened", lambda config: Painter())
    silent = describers(ToyLearner, 5)[4]
    devices = [*crew(), silent]
    virtual = [SimulatedDevice(d.learner, d.data) for d in devices]
    result = simulate(generative(**ROOMY), virtual, cohort=Cohort(4, 5))
    assert result.metrics["captions"] == 12
    declined = [each for each in result.outcomes[4] if isinstance(each, RoundDeclined)]
    assert any("this device has none" in each.text for each in declined)
    assert result.arrays["totals"].sum() == sum(let(each.data).sum() for each in devices)


@pytest.mark.filterwarnings("ignore")  # what libraries say while they load
def test_texts_become_pictures_of_a_pipeline(tmp_path: Path) -> None:
    """All the way: masks on, the real pipeline code, random weights."""
    from tests.unit.learning.generators.tiny_pipeline import build_pipeline

    folder = build_pipeline(tmp_path / "tiny")
    weights = {"weights": str(folder), "digest": digest_of(folder)}
    config = generative(**ROOMY | weights | PAINTED)
    said, unsaid = (masked(config, crew(each)) for each in (SAYINGS, ((),) * 4))
    assert said.metrics["captions"] == 12 and unsaid.metrics["captions"] == 0
    for each in (said, unsaid):
        assert each.arrays["images"].shape == (6, 1, 2, 2)
        assert each.arrays["labels"].tolist() == [0, 1, 2, 0, 1, 2]
        assert np.isfinite(each.arrays["images"]).all()
    assert (said.arrays["images"] != unsaid.arrays["images"]).any(), "the pipeline read them"


@pytest.mark.filterwarnings("ignore")
def test_what_a_learned_captioner_says_reaches_the_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every device describes its own pictures; the aggregator knows words alone."""
    from dreamshare.learning.torch.captioning import CaptionerSettings, open_captioner
    from tests.unit.learning.generators.tiny_captioner import build_captioner

    folder, painter = build_captioner(tmp_path / "tiny"), Painter()
    settings = CaptionerSettings(low=LOW, high=HIGH, words=3)
    captioner = open_captioner(str(folder), digest_of(folder), settings)
    monkeypatch.setattr(synthesis, "opened", lambda config: painter)
    entropy = SeededEntropy(bytes(32))
    devices = [
        Device(
            each.learner, CaptionedData(each.data, captioner, entropy.fork(str(i)).draw), each.rng
        )
        for i, each in enumerate(describers(ToyLearner, 4))
    ]
    result = masked(generative(**ROOMY), devices)
    own = {c for d in devices for c in captioned_of(d.data).captions(d.data, 3, 1)}
    wanted = {f"a photo of a {TEXT['names'][each.label]}, {each.text}" for each in own}
    assert result.metrics["captions"] > 3
    assert {each.text for each in painter.requests} <= wanted
    assert len(wanted) > 3, "more than one text of a class"
