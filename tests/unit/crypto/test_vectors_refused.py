"""Every message of refused.json is refused, with its code and no other (docs/protocol.md 10)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from dreamshare_crypto.secagg.events import KeepEvidence, Send
from tests.vectors.player import Player, load

CASES = [
    case
    for name in ("refused", "refused-bounded", "refused-profile-k")
    for case in load(name)["cases"]
]

EVIDENCE = {"S2", "U4", "R3"}
"""Codes whose effect is V: both messages are kept."""


def test_there_are_cases_for_every_row() -> None:
    codes = Counter(case["code"] for case in CASES)
    rows = {"M1", "M2", "O1", "O2", "O3", "R1", "R2", "R3", "G1", "G2", "D1"}
    rows |= {"S1", "S2", "S3", "S4", "S5", "S7", "U1", "U2", "U3", "U4", "B1", "Q1", "K1"}
    assert set(codes) == rows
    assert len(CASES) >= 150
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_refused_with_its_code(case: dict[str, Any]) -> None:
    player = Player(case["session"], case["device"], case.get("floor"))
    player.computes = case["computes"]
    for item in case["after"]:
        if isinstance(item, str):
            player.play(item)
        else:
            player.give(item["stage"], bytes.fromhex(item["message"]))
    assert not player.client.counts, "what came before was not accepted"
    payload = bytes.fromhex(case["payload"]) if "payload" in case else None
    effects = player.give(
        case["stage"], bytes.fromhex(case["message"]), float(case["now"]), payload
    )
    assert {code.value: n for code, n in player.client.counts.items()} == {case["code"]: 1}
    assert not any(isinstance(effect, Send) for effect in effects)
    if case["code"] in EVIDENCE:
        assert any(isinstance(effect, KeepEvidence) for effect in effects)
