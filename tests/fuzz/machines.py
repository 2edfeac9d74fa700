"""Targets: the two SA-2 machines, handed changed messages in every phase.

An input names a phase, a stage and whether the message is signed anew, then comes the message:

    u8 phase, u8 stage, u8 variant, body

Rules:
- a changed message that still reads is signed by the key that it should come from ("signed"), so
  that the fuzzer gets past M2 and reaches what the message means;
- nothing may be raised; whatever is refused leaves the phase as it was, and no phase is entered
  without a record; an aggregator that took a message still comes to the end of its round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.graph import Mode
from dreamshare_crypto.keys import IdentityKey
from dreamshare_crypto.secagg.events import (
    Arrived,
    EpochOver,
    Payload,
    Persist,
    Received,
    Refuse,
    Stage,
    Summed,
    Ticked,
)
from dreamshare_crypto.secagg.phases import Committed, Idle
from dreamshare_crypto.secagg.signed import Signed
from tests.fuzz.decoders import WORDS
from tests.fuzz.recorded import (
    PAYLOAD,
    ROUNDS,
    N,
    Recording,
    recording,
    twin,
    twin_server,
)
from tests.fuzz.target import Run, Target
from tests.sim.secagg.decoders import decoders

HEAD_BYTES = 3
DOWN = (
    Stage.OFFER,
    Stage.ROSTER,
    Stage.PEER_KEYS,
    Stage.DELIVER,
    Stage.ROUND_START,
    Stage.SURVIVORS,
    Stage.AGREE_SET,
    Stage.ROUND_RESULT,
    Stage.ROUND_ABORT,
)
UP = (
    Stage.ADVERTISE,
    Stage.SHARES,
    Stage.READY,
    Stage.MASKED_INPUT,
    Stage.AGREE,
    Stage.UNMASK_RESPONSE,
)
DECODERS = decoders(N, ROUNDS, WORDS)


def signed(stage: Stage, body: bytes, key: IdentityKey) -> bytes:
    """Return the message signed by `key`, where it can be read and has a signature."""
    try:
        message = DECODERS[stage](body)
    except (MalformedError, KeyError):
        return body
    return message.sign(key).encode() if isinstance(message, Signed) else body


def _client(mode: Mode) -> Run:
    def run(raw: bytes) -> None:
        if len(raw) < HEAD_BYTES:
            return
        known = recording(mode)
        phases = list(known.clients.values())
        client = twin(phases[raw[0] % len(phases)])
        stage, body = DOWN[raw[1] % len(DOWN)], raw[HEAD_BYTES:]
        if raw[2] & 1:
            body = signed(stage, body, known.cohort.aggregator.signing)
        payload = PAYLOAD if stage is Stage.ROUND_START else None
        if payload is not None and raw[2] & 2:
            payload = Payload(_payload_hash(body), PAYLOAD.base_hash, 0)
        before = client.phase
        effects = client.handle(Received(stage, body, payload), known.cohort.now)
        ended = any(isinstance(effect, EpochOver) for effect in effects)
        if any(isinstance(effect, Refuse) for effect in effects) and not ended:
            declined = isinstance(before, Committed) and isinstance(client.phase, Committed)
            if client.phase is not before and not declined:
                raise AssertionError("a refusal changed the phase")
        entered = client.phase is not before and not isinstance(client.phase, Idle | Committed)
        if entered and not any(isinstance(effect, Persist) for effect in effects):
            raise AssertionError("a phase was entered without a record")
        client.handle(Ticked(), known.cohort.now)

    return run


def _payload_hash(body: bytes) -> bytes:
    try:
        return DECODERS[Stage.ROUND_START](body).payload_hash  # type: ignore[union-attr]
    except MalformedError:
        return PAYLOAD.hash


def _server(mode: Mode) -> Run:
    def run(raw: bytes) -> None:
        if len(raw) < HEAD_BYTES:
            return
        known = recording(mode)
        phases = list(known.servers.values())
        server = twin_server(phases[raw[0] % len(phases)])
        stage, body = UP[raw[1] % len(UP)], raw[HEAD_BYTES:]
        party = known.cohort.parties[(raw[2] >> 1) % N]
        if raw[2] & 1:
            body = signed(stage, body, party.identity.signing)
        now = known.cohort.now
        effects = server.handle(Arrived(party.id, stage, body), now)
        for _ in range(12):  # to the end: what was taken must not break what follows
            if server.deadline is None or any(isinstance(effect, Summed) for effect in effects):
                break
            now = max(now, server.deadline)
            effects = server.handle(Ticked(), now)

    return run


def _inputs(
    genuine: Callable[[Recording], dict[Stage, list[bytes]]],
    stages: Sequence[Stage],
    phases: Callable[[Recording], int],
    mode: Mode,
    variants: Sequence[int],
) -> Callable[[], Sequence[bytes]]:
    @cache
    def seeds() -> Sequence[bytes]:
        known = recording(mode)
        return [
            bytes([phase, at, variant]) + body
            for at, stage in enumerate(stages)
            for body in genuine(known).get(stage, [])[:2]
            for phase in range(phases(known))
            for variant in variants
        ]

    return seeds


TARGETS: tuple[Target, ...] = tuple(
    target
    for mode in Mode
    for target in (
        Target(
            f"client-{mode.name.lower()}",
            _client(mode),
            _inputs(lambda known: known.down, DOWN, lambda known: len(known.clients), mode, (1,)),
        ),
        Target(
            f"server-{mode.name.lower()}",
            _server(mode),
            _inputs(
                lambda known: known.up, UP, lambda known: len(known.servers), mode, range(1, 8, 2)
            ),
        ),
    )
)
