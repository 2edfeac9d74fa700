"""Where an epoch stands at the aggregator, and which stage object stands for it (section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from dreamshare_crypto.secagg.events import Send, Stage
from dreamshare_crypto.secagg.server_round import Agreeing, Collecting, Unmasking
from dreamshare_crypto.secagg.server_setup import Advertising, Delivering, Sharing


class ServerPhase(StrEnum):
    """States of the aggregator. DONE and ABANDONED of the text are READY again, or ENDED."""

    IDLE = "idle"
    OFFERED = "offered"
    ROSTERED = "rostered"
    SHARING = "sharing"
    READY = "ready"
    COLLECTING = "collecting"
    AGREEING = "agreeing"
    UNMASKING = "unmasking"
    ENDED = "ended"


SetupStage = Advertising | Sharing | Delivering
RoundStage = Collecting | Agreeing | Unmasking
ServerStage = SetupStage | RoundStage

PHASE_OF: Mapping[type[ServerStage], ServerPhase] = {
    Advertising: ServerPhase.OFFERED,
    Sharing: ServerPhase.ROSTERED,
    Delivering: ServerPhase.SHARING,
    Collecting: ServerPhase.COLLECTING,
    Agreeing: ServerPhase.AGREEING,
    Unmasking: ServerPhase.UNMASKING,
}
"""The state that each stage object stands for."""


def owed_to_all(stage: ServerStage) -> tuple[Send, ...]:
    """Return what everybody in the stage has to be sent; equal messages go out as one."""
    sends: dict[tuple[Stage, bytes], list[bytes]] = {}
    for device in sorted(stage.box.asked):
        for send in stage.owed(device):
            sends.setdefault((send.stage, send.body), []).append(device)
    return tuple(Send(kind, body, tuple(to)) for (kind, body), to in sends.items())
