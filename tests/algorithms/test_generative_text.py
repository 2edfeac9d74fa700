"""`generative/1` with captions in words: which step shows them, how many, and what they make."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dreamshare.algorithms import catalog
from dreamshare.algorithms.base import Ask, Disclosure
from dreamshare.algorithms.checkpoint import encode_state
from dreamshare.algorithms.generative import Generative, synthesis
from dreamshare.binding import CatalogWork, plan_of, terms_of
from dreamshare.errors import ConfigError, PrivacyError
from dreamshare.learning.generators.captions import sentence
from dreamshare.payloads.slots import Caption
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.plan import RoundPlan
from dreamshare_edge.policy import Policy
from tests.algorithms.describing import TEXT, Painter, captioned, describers, generative
from tests.algorithms.oracle import Device, run
from tests.algorithms.toy import ToyLearner

SAYINGS = (("a dark {name}", "a torn {name}"), ("a wide {name}",), ("a {name} on a table",))


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> Painter:
    made = Painter()
    monkeypatch.setattr(synthesis, "opened", lambda config: made)
    return made


def crew(sayings: tuple[tuple[str, ...], ...] = SAYINGS) -> list[Device]:
    devices = describers(ToyLearner, len(sayings))
    return [
        captioned(d, texts, i) for i, (d, texts) in enumerate(zip(devices, sayings, strict=True))
    ]


def asked_to_disclose(
    wanted: tuple[int, ...] = (1, 1, 1), **changes: object
) -> tuple[Generative, Ask]:
    algorithm = Generative(generative(**(TEXT | changes)))
    tensors = {"wanted": np.array(wanted, np.uint8)}
    return algorithm, Ask("disclose", algorithm.steps()["disclose"], tensors)


def disclosed(algorithm: Generative, ask: Ask, device: Device) -> set[bytes]:
    """The slots that a device wrote."""
    update = algorithm.local(ask, device.learner, device.data, device.rng)
    slots_SB = (update.flatten(ask.fields)[0] + 127.5).reshape(ask.fields[0].shape)
    assert ((slots_SB >= 0) & (slots_SB <= 255) & (slots_SB == np.rint(slots_SB))).all()
    return {row.astype(np.uint8).tobytes() for row in slots_SB if row.any()}


def test_captions_become_prompts_of_their_class(painter: Painter) -> None:
    config = generative(**TEXT | {"text_captions": 9, "text_slots": 4096, "images": 60})
    seen = run(Generative(config), crew(), quantise=np.random.default_rng(1))
    assert seen.steps == ["warm_up", "count", "disclose", "learn"]
    assert seen.done.metrics["captions"] == 12
    assert seen.done.metrics["captions_lost"] == 0
    said = {
        label: {t.replace("{name}", name) for texts in SAYINGS for t in texts}
        for label, name in enumerate(config.names)
    }
    for label, name in enumerate(config.names):
        prompts = {each.text for each in painter.requests if each.label == label}
        assert prompts <= {f"a photo of a {name}, {text}" for text in said[label]}
        assert len(prompts) >= 3, "of four, drawn twenty times"


def test_a_prompt_does_not_depend_on_who_said_it_or_how_many_pictures_there_are(
    painter: Painter,
) -> None:
    config = generative(**TEXT | {"text_slots": 4096, "text_captions": 9})
    run(Generative(config), crew())
    first = painter.requests
    run(Generative(config), crew((SAYINGS[2], SAYINGS[0], SAYINGS[1])))
    assert painter.requests == first
    run(Generative(dataclasses.replace(config, images=90)), crew())
    assert painter.requests[:60] == first


def test_a_class_of_which_nothing_is_said_keeps_its_name(painter: Painter) -> None:
    run(Generative(generative(**TEXT)), crew(((), (), ())))
    assert {each.text for each in painter.requests} == {
        sentence("a photo of a {name}", name) for name in TEXT["names"]
    }


def test_texts_that_collide_are_lost_and_the_others_are_not(painter: Painter) -> None:
    config = generative(**TEXT | {"text_slots": 8, "text_captions": 3})
    metrics = run(Generative(config), crew()).done.metrics
    assert 0 < metrics["captions"] < 9
    assert metrics["captions"] + 2 * metrics["captions_lost"] <= 9


def test_a_text_is_data_and_no_template(painter: Painter) -> None:
    run(Generative(generative(**TEXT)), crew((("a {words} of {x}",), ("%s",), ("{{name}}",))))
    assert any("a {words} of {x}" in each.text for each in painter.requests)


def test_the_config_bounds_what_a_device_writes() -> None:
    device = crew()[0]
    for most in (1, 2, 5):
        algorithm, ask = asked_to_disclose(text_captions=most)
        assert len(disclosed(algorithm, ask, device)) == most
    algorithm, ask = asked_to_disclose(text_least=2)
    assert disclosed(algorithm, ask, device) == set(), "no two pictures have the same words"
    algorithm, ask = asked_to_disclose(text_captions=6, text_bytes=16)
    assert disclosed(algorithm, ask, device) == set(), "9 bytes hold none of them"


def test_captions_of_rare_classes_stay() -> None:
    algorithm, ask = asked_to_disclose((1, 0, 0), text_captions=9)
    assert len(disclosed(algorithm, ask, crew()[0])) == 2
    with pytest.raises(ConfigError, match="'wanted' of shape"):
        disclosed(algorithm, Ask("disclose", ask.fields), crew()[0])


def test_a_device_without_captions_takes_no_part_in_the_step() -> None:
    algorithm, ask = asked_to_disclose()
    device = describers(ToyLearner)[0]
    with pytest.raises(ConfigError, match="its owner names them"):
        algorithm.local(ask, device.learner, device.data, device.rng)


def test_noise_is_refused_where_it_would_drown_the_letters() -> None:
    noise = Privacy(clip=1.0, multiplier=1.0)
    text, words = (
        catalog.algorithm_of(generative(**TEXT | {"captions": each}))
        for each in ("text", "attributes")
    )
    with pytest.raises(ConfigError, match="drown every letter"):
        terms_of(text, Cohort(4, 4), Deadlines(), noise)
    terms_of(words, Cohort(4, 4), Deadlines(), noise)


class Watched:
    """A device's data that tell who reads its captions."""

    def __init__(self, device: Device) -> None:
        self._data = device.data
        self.read = False

    def __getattr__(self, name: str) -> object:
        self.read |= name == "captioned"
        return getattr(self._data, name)

    def __len__(self) -> int:
        return len(self._data)


def test_no_step_but_the_one_that_says_so_reads_captions(painter: Painter) -> None:
    """What a policy checks by the step's name is all that there is to check."""
    algorithm = Generative(generative(**TEXT | {"evaluate": True}))
    watched = [Watched(each) for each in crew()]
    devices = [
        Device(ToyLearner(i), data, np.random.default_rng(i))  # type: ignore[arg-type]
        for i, data in enumerate(watched)
    ]
    reading = set()

    def after(plan: object) -> None:
        if any(each.read for each in watched):
            reading.add(plan.step)  # type: ignore[attr-defined]
        for each in watched:
            each.read = False

    run(algorithm, devices, after=after)
    assert reading == {"disclose"}
    shown = {step for step in catalog.entry_of("generative/1").steps if algorithm.disclosure(step)}
    assert shown == {"disclose"}


def disclosing_plan(**changes: object) -> RoundPlan:
    name, canonical = catalog.config_json_of(generative(**(TEXT | changes)))
    return plan_of(name, canonical, asked_to_disclose()[1])


WORK = CatalogWork(catalog.names())


@pytest.mark.parametrize(
    ("policy", "changes", "words"),
    [
        (Policy(), {}, "the step disclose of generative/1 .* captions allows 0"),
        (Policy(captions=3), {}, "up to 4 captions .* captions allows 3"),
        (Policy(captions=4), {}, "captions that 1 pictures have; .*captions_least asks for 5"),
        (Policy(captions=4, captions_least=3), {"text_least": 2}, "captions_least asks for 3"),
        (Policy(), {"captions": "class", "text_captions": 1}, "captions allows 0"),
    ],
)
def test_an_owner_who_did_not_allow_it_refuses(policy: Policy, changes, words: str) -> None:
    """Whatever the config says of itself: the step is what it is."""
    plan = disclosing_plan(**changes)
    with pytest.raises(PrivacyError, match=words):
        policy.check_disclosure(plan, WORK.disclosure(plan))


def test_an_owner_who_allowed_it_does_not() -> None:
    plan = disclosing_plan(text_least=5)
    assert WORK.disclosure(plan) == Disclosure(4, 5)
    Policy(captions=4).check_disclosure(plan, WORK.disclosure(plan))


def test_a_run_goes_on_from_its_state() -> None:
    state = Generative(generative(**TEXT)).init(np.random.default_rng(0))
    said = (Caption(0, "a dark shoe"), Caption(2, "un café"))
    stored = dataclasses.replace(state, said=said, unread=2)
    assert catalog.state_from("generative/1", encode_state(stored)).said == said
