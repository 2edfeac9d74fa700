"""The package's aggregator, fed with the reference's devices, says what the reference's says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dreamshare_crypto.encoding import Params
from dreamshare_crypto.secagg.events import (
    Arrived,
    Opened,
    Send,
    ServerEffect,
    Stage,
    Summed,
    Ticked,
)
from dreamshare_crypto.secagg.offer import Deadlines, TemplateStep
from dreamshare_crypto.secagg.server import SecaggServer
from dreamshare_crypto.secagg.terms import EpochTerms
from dreamshare_crypto.suite import Suite
from tests.vectors.player import Script, aggregator, load

NONCE_BYTES = 16


class Serving:
    """A server of one session file, and what it sent in its last step."""

    def __init__(self, name: str) -> None:
        self.file = load(name)
        offer, self.now = self.file["offer"], float(self.file["now"])
        template = offer["template"][0]
        self.params = Params.decode(bytes.fromhex(template["params"]))
        nonces = [bytes.fromhex(run["params"])[-NONCE_BYTES:] for run in self.file["rounds"]]
        terms = EpochTerms(
            template=(TemplateStep(template["algorithm"], template["step"], self.params),),
            rounds=offer["R"],
            life_s=offer["life_s"],
            a_min_ppm=offer["A_min_ppm"],
            least_cohort=offer["least_cohort"],
            n_max=offer["n_max"],
            deadlines=Deadlines(*offer["deadlines"]),
            suite=Suite(offer["suite"]),
        )
        self.ids = [bytes.fromhex(id_) for id_ in self.file["set_up"]["ids"]]
        self.server = SecaggServer(
            aggregator(self.file),
            bytes.fromhex(offer["task"]),
            offer["epoch"],
            terms,
            Script(nonces),
            self.ids,
            self.now,
        )

    def all_say(self, stage: Stage, bodies: dict[str, str]) -> list[ServerEffect]:
        effects: list[ServerEffect] = []
        for index, body in bodies.items():
            message = Arrived(self.ids[int(index)], stage, bytes.fromhex(body))
            effects += self.server.handle(message, self.now)
        return effects


def only(effects: list[ServerEffect] | tuple[ServerEffect, ...], stage: Stage) -> str:
    """The message of a stage that everybody gets alike."""
    bodies = {e.body.hex() for e in effects if isinstance(e, Send) and e.stage is stage}
    assert len(bodies) == 1, f"{len(bodies)} different messages of stage {stage.name}"
    return bodies.pop()


@pytest.mark.parametrize("name", ["session-n3-suite1", "session-n3-suite2"])
def test_the_aggregator_sends_what_the_vectors_say(name: str) -> None:
    serving = Serving(name)
    file, set_up = serving.file, serving.file["set_up"]
    assert only(serving.server.start(serving.now), Stage.OFFER) == file["offer"]["bytes"]
    effects = serving.all_say(Stage.ADVERTISE, set_up["advertise"])
    if not any(isinstance(e, Send) for e in effects):
        serving.now += file["offer"]["deadlines"][0]  # it waits for devices that may yet come
        effects = list(serving.server.handle(Ticked(), serving.now))
    assert only(effects, Stage.ROSTER) == set_up["roster"]
    sent_keys = {
        e.to: e.body.hex() for e in effects if isinstance(e, Send) and e.stage is Stage.PEER_KEYS
    }
    assert sent_keys == {(serving.ids[int(i)],): v for i, v in set_up["peer_keys"].items()}
    shares = {i: device["shares"] for i, device in set_up["devices"].items()}
    effects = serving.all_say(Stage.SHARES, shares)
    boxes = {
        e.to: e.body.hex() for e in effects if isinstance(e, Send) and e.stage is Stage.DELIVER
    }
    assert boxes == {(serving.ids[int(i)],): v for i, v in set_up["deliver"].items()}
    serving.all_say(Stage.READY, set_up["ready"])
    assert serving.server.session is not None
    assert serving.server.session.hex() == set_up["sid"]
    serving.now = float(file["now"])
    for run in file["rounds"]:
        play_round(serving, run)


def play_round(serving: Serving, run: dict[str, Any]) -> None:
    params = Params.decode(bytes.fromhex(run["params"]))
    opened = Opened(bytes.fromhex(run["Hb"]), params, collect_s=100.0, reveal_s=20.0)
    effects = serving.server.handle(opened, serving.now)
    assert only(effects, Stage.ROUND_START) == run["start"]
    inputs = {i: device["masked_input"] for i, device in run["devices"].items()}
    assert only(serving.all_say(Stage.MASKED_INPUT, inputs), Stage.SURVIVORS) == run["survivors"]
    quorum = dict(list(run["agree"].items())[:2])  # q = 2 of three
    assert only(serving.all_say(Stage.AGREE, quorum), Stage.AGREE_SET) == run["agree_set"]
    effects = serving.all_say(Stage.UNMASK_RESPONSE, run["response"])
    assert only(effects, Stage.ROUND_RESULT) == run["result"]
    summed = next(e for e in effects if isinstance(e, Summed))
    for ours, theirs in zip(summed.sums, run["sums"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14, atol=1e-14)
    assert round(summed.weight_sum * 65_535) == run["weight_sum"]
