"""A fresh environment with an ONNX agent, made by pip: the budgets that do not depend on time."""

from __future__ import annotations

import os

import pytest
from benchmarks.footprint import CLAIM, measure
from benchmarks.peers.environment import PeerMissing

from tests.services import REQUIRED

WINDOW_S = 5.0
OF_TIME = {"import_s"}


@pytest.mark.timeout(900)
def test_an_onnx_agent_keeps_to_its_budget() -> None:
    try:
        found = measure("onnx", WINDOW_S, fresh=False)
    except PeerMissing as error:
        if os.environ.get(REQUIRED) == "required":
            raise
        pytest.skip(f"pip cannot install the agent here: {error}")
    assert found["importable"] == []
    over = {
        key: found[key] for key in CLAIM.keys() - OF_TIME if float(str(found[key])) > CLAIM[key]
    }
    assert over == {}
