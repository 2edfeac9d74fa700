"""What a device brings to every epoch, and what one step of its machine gives back."""

from __future__ import annotations

from dataclasses import dataclass, field

from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import ClientEffect, EndReason, EpochOver, Forget, Persist
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.once import Once
from dreamshare_crypto.secagg.phases import Phase
from dreamshare_crypto.secagg.records import SEED_SLOT, EndedRecord
from dreamshare_crypto.secagg.vault import CHAIN_SLOT
from dreamshare_crypto.secret import Secret


@dataclass(frozen=True, slots=True)
class Device:
    """The device's own side of things.

    Attributes:
        identity: its keys and certificate, the pinned authority.
        task: the task that it takes part in, 16 bytes.
        floor: what it insists on.
        entropy: where its seeds come from.
        memory: what it remembers across sessions and tasks.
        rounding: the key that repeats its rounding after a crash (12.6).
        threads: how many the device may compute with at a time.
        once: what other devices of the same process found out already.
    """

    identity: Identity
    task: bytes
    floor: Floor
    entropy: Entropy
    memory: Memory
    rounding: Secret
    threads: int = 1
    once: Once = field(default_factory=Once)


@dataclass(frozen=True, slots=True)
class Step:
    """The phase after an input and the effects of getting there."""

    phase: Phase
    effects: tuple[ClientEffect, ...] = ()


def end_epoch(offer: EpochOffer | None, reason: EndReason) -> tuple[ClientEffect, ...]:
    """Return the effects that end the epoch of `offer`: say so, then destroy its keys (9.4).

    The record comes first: whoever restarts between the two destroys the keys then.
    """
    if offer is None:
        return ()
    return (
        Persist(EndedRecord(offer.epoch).record()),
        Forget(SEED_SLOT),
        Forget(CHAIN_SLOT),
        EpochOver(reason),
    )
