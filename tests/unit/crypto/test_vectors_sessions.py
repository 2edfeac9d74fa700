"""The package's devices say byte for byte what the reference's say (docs/protocol.md 16, 69)."""

from __future__ import annotations

import pytest

from dreamshare_crypto.secagg.events import RoundClosed, SessionReady, Stage
from tests.vectors.player import Player, load, sent, sessions

DEVICES = [
    (name, device["index"]) for name in sessions() for device in load(name)["parties"]["devices"]
]


def test_there_are_sessions_of_every_kind() -> None:
    offers = [load(name)["offer"] for name in sessions()]
    assert {o["suite"] for o in offers} == {1, 2}
    assert {o["profile"] for o in offers} == {1, 2}
    assert {load(name)["set_up"]["n"] for name in sessions()} >= {3, 10, 129}


@pytest.mark.parametrize(("name", "index"), DEVICES)
def test_a_device_sends_what_the_vectors_say(name: str, index: int) -> None:
    file, own = load(name), str(index)
    set_up, player = file["set_up"], Player(name, index)

    assert sent(player.play("offer"), Stage.ADVERTISE).hex() == set_up["advertise"][own]
    effects = player.play("roster")
    if own in set_up["reveal"]:
        assert sent(effects, Stage.REVEAL).hex() == set_up["reveal"][own]
    if set_up["seed"]:
        player.play("seed")
    effects = player.play("peer_keys")
    assert player.client.session is not None
    assert player.client.session.hex() == set_up["sid"]
    if own not in set_up["deliver"]:
        return  # it fell silent here
    assert sent(effects, Stage.SHARES).hex() == set_up["devices"][own]["shares"]
    effects = player.play("deliver")
    assert sent(effects, Stage.READY).hex() == set_up["ready"][own]
    assert any(isinstance(effect, SessionReady) for effect in effects)

    for run in file["rounds"]:
        if own not in run["devices"]:
            continue
        r = run["r"]
        effects = player.play(f"start:{r}")
        assert sent(effects, Stage.MASKED_INPUT).hex() == run["devices"][own]["masked_input"]
        if not int(run["U_r"][2 * (index // 8) :][:2], 16) >> index % 8 & 1:
            player.play(f"survivors:{r}")  # its vector came late: the sum goes on without it
            assert player.client.counts
            player.play(f"result:{r}")
            continue
        effects = player.play(f"survivors:{r}")
        if own in run["agree"]:
            assert sent(effects, Stage.AGREE).hex() == run["agree"][own]
        if file["offer"]["mode"] == 1:
            effects = player.play(f"agree_set:{r}")
        if own in run["response"]:
            assert sent(effects, Stage.UNMASK_RESPONSE).hex() == run["response"][own]
        effects = player.play(f"result:{r}")
        assert any(isinstance(e, RoundClosed) and e.reason is None for e in effects)
