"""Where an epoch stands at the aggregator, and which stage object stands for it (section 8)."""

from __future__ import annotations

from enum import StrEnum

from dreamshare_crypto.secagg.events import Send, Stage
from dreamshare_crypto.secagg.server_collecting import Collecting
from dreamshare_crypto.secagg.server_round import Agreeing, Unmasking
from dreamshare_crypto.secagg.server_setup import Advertising, Delivering, Seeding, Sharing


class ServerPhase(StrEnum):
    """States of the aggregator. DONE and ABANDONED of the text are READY again, or ENDED."""

    IDLE = "idle"
    OFFERED = "offered"
    ROSTERED = "rostered"
    SEEDED = "seeded"
    SHARING = "sharing"
    READY = "ready"
    COLLECTING = "collecting"
    AGREEING = "agreeing"
    UNMASKING = "unmasking"
    ENDED = "ended"


SetupStage = Advertising | Seeding | Sharing | Delivering
RoundStage = Collecting | Agreeing | Unmasking
ServerStage = SetupStage | RoundStage


def phase_of(stage: ServerStage) -> ServerPhase:
    """Return the state that a stage object stands for."""
    match stage:
        case Advertising():
            return ServerPhase.OFFERED
        case Seeding():
            return ServerPhase.ROSTERED
        case Sharing():
            return ServerPhase.SEEDED if stage.seeded else ServerPhase.ROSTERED
        case Delivering():
            return ServerPhase.SHARING
        case Collecting():
            return ServerPhase.COLLECTING
        case Agreeing():
            return ServerPhase.AGREEING
        case Unmasking():
            return ServerPhase.UNMASKING


def told(stage: ServerStage) -> frozenset[bytes]:
    """Return who is sent what a stage owes: in some stages more than those who are to answer."""
    return stage.told if isinstance(stage, Seeding | Agreeing) else stage.box.asked


def owed_to_all(stage: ServerStage) -> tuple[Send, ...]:
    """Return what everybody in the stage has to be sent; equal messages go out as one.

    A roster that was shown while its graph was seeded does not go out again with the seed: whoever
    was away then is sent it on its return.
    """
    shown = isinstance(stage, Sharing) and stage.seeded
    sends: dict[tuple[Stage, bytes], list[bytes]] = {}
    for device in sorted(told(stage)):
        for send in stage.owed(device):
            if shown and send.stage is Stage.ROSTER:
                continue
            sends.setdefault((send.stage, send.body), []).append(device)
    return tuple(Send(kind, body, tuple(to)) for (kind, body), to in sends.items())


def owed_to(stage: ServerStage, device: bytes) -> tuple[Send, ...]:
    """Return what a device that is back has to be sent again: nothing once it has answered."""
    if device in told(stage) and device not in stage.box:
        return stage.owed(device)
    return ()
