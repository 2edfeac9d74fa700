"""What must hold of SA-2 whatever the network and the power supply do (docs/protocol.md 7 to 9).

Rules:
- checked on every effect that is carried out and on every disk after every step;
- what is revealed is judged by the true secrets, read from the machines themselves, and not by
  what a message says of itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.encoding import decode_sum, words_to_bytes
from dreamshare_crypto.errors import AuthenticationError, ParameterError, RefusalCode
from dreamshare_crypto.graph import Mode
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.secagg.epoch_messages import Roster
from dreamshare_crypto.secagg.events import (
    AbortReason,
    Faulty,
    KeepEvidence,
    Record,
    RoundAbandoned,
    Send,
    ServerEffect,
    Stage,
    Summed,
)
from dreamshare_crypto.secagg.phases import Advertised, Phase, Ready
from dreamshare_crypto.secagg.records import (
    SEED_SLOT,
    AgreeRecord,
    AnswerRecord,
    ClosedRecord,
    CommitRecord,
    EndedRecord,
    EpochRecord,
    RecordBody,
    SeedErasedRecord,
    SessionRecord,
    SidRecord,
    VectorRecord,
)
from dreamshare_crypto.secagg.round_messages import RoundResult, RoundStart
from dreamshare_crypto.secagg.survivor_messages import UnmaskResponse
from dreamshare_crypto.secagg.vault import CHAIN_SLOT, Vault
from dreamshare_crypto.secret import Secret
from tests.sim.secagg.decoders import RECORDS
from tests.sim.secagg.disk import Disk

Words = NDArray[np.uint64]
Round = tuple[bytes, int]
"""(sid, r)."""

IN_ROUND = (Stage.MASKED_INPUT, Stage.AGREE, Stage.UNMASK_RESPONSE)


LATE = frozenset({RefusalCode.O1, RefusalCode.O2, RefusalCode.S1})
"""Refusals of honest messages: an offer that is over or replaced, a round that is past."""

REPLAYED = LATE | {RefusalCode.G2, RefusalCode.Q1, RefusalCode.R1, RefusalCode.R2, RefusalCode.S7}
"""Further ones of messages from another time, or for another device."""


BLAMELESS = (AbortReason.BAD_SHARES, AbortReason.RANGE)
"""Reasons to give a round up that honest devices never are."""


class Watch:
    """Sees everything and forgets nothing."""

    def __init__(self) -> None:
        self.expected = LATE
        self._decoded: dict[Record, RecordBody] = {}
        self.said: dict[tuple[bytes, Stage, bytes], bytes] = {}
        self.roster: tuple[bytes, ...] = ()  # of the newest session
        self.starts: dict[Round, RoundStart] = {}
        self.last_start: RoundStart
        self.requested: set[Round] = set()  # an AgreeSet left the aggregator
        self.shares: dict[tuple[Round, bytes], dict[int, tuple[bytes, bytes]]] = {}
        self.revealed: dict[tuple[Round, int], str] = {}
        self.answered: dict[Round, bytes] = {}
        self.payloads: dict[tuple[bytes, bytes], Round] = {}
        self.plain: dict[bytes, Words] = {}  # MaskedInput -> what it hides
        self.seeds: dict[bytes, set[bytes]] = defaultdict(set)
        self.sums: list[Summed] = []
        self.abandoned: list[RoundAbandoned] = []

    # ---- machines --------------------------------------------------------------------------------

    def note_phase(self, device: bytes, phase: Phase) -> None:
        """Read the true secrets while a machine still holds them."""
        match phase:
            case Advertised(keys=keys):
                self.seeds[device].add(keys.seed.reveal())
            case Ready(member) if member.vault.position == 0:
                session = member.session
                for r in range(session.offer.rounds):
                    key = ((session.sid, r), device)
                    if key not in self.shares:
                        self.shares[key] = dict(member.vault.open(r).shares)
            case _:
                pass

    def note_vector(self, masked: bytes, words: Words) -> None:
        """Remember what a masked vector hides."""
        self.plain[masked] = words

    # ---- devices' messages -----------------------------------------------------------------------

    def check_refusal(self, code: RefusalCode) -> None:
        """A device refuses an honest aggregator only for what time and earlier rounds explain."""
        assert code in self.expected, f"an honest aggregator is refused: {code}"

    def check_send(self, device: bytes, send: Send, disk: Disk) -> None:
        """A device's message leaves: durable before, the same bytes as ever, one kind of share."""
        name = send.body[: 36 if send.stage in IN_ROUND else 32]  # sid and r; or ho, or sid
        first = self.said.setdefault((device, send.stage, name), send.body)
        assert first == send.body, f"{send.stage.name} said in two ways"
        self._check_durable(send, disk)
        if send.stage is Stage.UNMASK_RESPONSE:
            self._check_response(device, send.body, disk)

    def _check_durable(self, send: Send, disk: Disk) -> None:
        body = send.body
        if send.stage is Stage.READY:
            assert SEED_SLOT not in disk.slots, "ready before the seed was gone"
        for record in self._read(disk.records):
            match send.stage, record:
                case Stage.ADVERTISE, EpochRecord(advertise=said) if said == body:
                    return
                case Stage.SHARES, SidRecord(session=session) if session == body[:32]:
                    return
                case Stage.READY, SessionRecord(ready=said) if said == body:
                    return
                case Stage.MASKED_INPUT, VectorRecord(message=said) if said == body:
                    return
                case Stage.AGREE, AgreeRecord() if _named(body) == (record.session, record.round):
                    return
                case Stage.UNMASK_RESPONSE, AnswerRecord(response=said) if said == body:
                    return
                case _:
                    pass
        raise AssertionError(f"{send.stage.name} left before its record was durable")

    def _check_response(self, device: bytes, body: bytes, disk: Disk) -> None:
        place = _named(body)
        start = self.starts[place]
        response = UnmaskResponse.decode(body, len(start.active))
        first = self.answered.setdefault(place, response.survivors_hash)
        assert first == response.survivors_hash, "two sets of survivors answered in one round"
        payload = self.payloads.setdefault((device, start.payload_hash), place)
        assert payload == place, "one payload answered in two rounds"
        dealers = sorted(start.active)
        held = self.shares[place, device]
        for at, share in zip(sorted(response.have), response.shares, strict=True):
            p_share, s_share = held[dealers[at]]
            kind = {p_share: "p", s_share: "s"}[share]
            known = self.revealed.setdefault((place, dealers[at]), kind)
            assert known == kind, "both kinds of share of one dealer left"
        position = int.from_bytes(disk.slots[CHAIN_SLOT].reveal()[:4], "little")
        assert position > place[1], "answered before the round's secrets were gone"

    # ---- disks -----------------------------------------------------------------------------------

    def check_disk(self, device: bytes, disk: Disk) -> None:
        """What lies on disk between two steps of a running device."""
        records = disk.readable
        raw = b"".join(record.body for record in records)
        raw += b"".join(secret.reveal() for secret in disk.slots.values())
        assert not any(seed in raw for seed in self.seeds[device]), "a seed lies open"
        bodies = self._read(records)
        epochs = [body.offer.epoch for body in bodies if isinstance(body, EpochRecord)]
        assert epochs == sorted(set(epochs)), "epochs on disk do not grow"
        over = {b.epoch for b in bodies if isinstance(b, SeedErasedRecord | EndedRecord)}
        erased = bool(epochs) and epochs[-1] in over
        assert not (erased and SEED_SLOT in disk.slots), "an erased seed can be opened"
        _check_rounds(bodies)
        _check_closed(bodies, disk)

    def _read(self, records: Sequence[Record]) -> list[RecordBody]:
        """Return the records decoded, each once in a run."""
        for record in records:
            if record not in self._decoded:
                self._decoded[record] = RECORDS[record.kind].decode(record.body)
        return [self._decoded[record] for record in records]

    # ---- the aggregator --------------------------------------------------------------------------

    def check_server(self, effects: Sequence[ServerEffect]) -> None:
        """The aggregator's effects: an exact sum or nothing, and no blame on honest devices."""
        result: RoundResult | None = None
        for effect in effects:
            assert not isinstance(effect, KeepEvidence | Faulty), "an honest device is blamed"
            match effect:
                case Send(Stage.ROSTER, body):
                    self.roster = tuple(entry.id for entry in Roster.decode(body).entries)
                case Send(Stage.ROUND_START, body):
                    self.last_start = RoundStart.decode(body, len(self.roster))
                    place = (self.last_start.session, self.last_start.round)
                    assert self.starts.setdefault(place, self.last_start) == self.last_start
                case Send(Stage.AGREE_SET, body):
                    self.requested.add(_named(body))
                case Send(Stage.SURVIVORS, body) if self.last_start.params.mode == Mode.BOUNDED:
                    self.requested.add(_named(body))
                case Send(Stage.ROUND_RESULT, body):
                    result = RoundResult.decode(body, len(self.roster))
                case Summed():
                    assert result is not None
                    self._check_sum(result, effect)
                    self.sums.append(effect)
                case RoundAbandoned(number, reason, answered):
                    assert result is None
                    assert reason not in BLAMELESS, f"honest devices make no sum: {reason.name}"
                    start = self.last_start
                    assert start.round == number
                    assert answered or (start.session, number) not in self.requested
                    self.abandoned.append(effect)
                case _:
                    pass

    def _check_sum(self, result: RoundResult, summed: Summed) -> None:
        survivors = tuple(self.roster[index] for index in sorted(result.survivors))
        assert survivors == summed.survivors
        place = (result.session, result.round)
        params, name = self.starts[place].params, place[0] + place[1].to_bytes(4, "little")
        total = np.zeros(params.words, dtype=np.uint64)
        for device in survivors:
            total += self.plain[self.said[device, Stage.MASKED_INPUT, name]]
        assert result.result_hash == hash_parts("sa2/v1/result", words_to_bytes(total))
        sums, weight_sum = decode_sum(params, total, len(survivors))
        assert summed.weight_sum == weight_sum
        for got, wanted in zip(summed.sums, sums, strict=True):
            np.testing.assert_array_equal(got, wanted)


def _named(body: bytes) -> Round:
    """Return (sid, r), which every message of a round begins with."""
    return body[:32], int.from_bytes(body[32:36], "little")


def _check_rounds(bodies: Sequence[RecordBody]) -> None:
    last: dict[bytes, int] = {}
    for body in bodies:
        if isinstance(body, CommitRecord):
            assert body.round > last.get(body.session, -1), "rounds on disk do not grow"
            last[body.session] = body.round


def _check_closed(bodies: Sequence[RecordBody], disk: Disk) -> None:
    """No slot opens a round that was answered or closed, or one before the last (9.3, 9.5)."""
    over: dict[bytes, int] = {}
    sessions: dict[bytes, SessionRecord] = {}
    for body in bodies:
        match body:
            case SessionRecord():
                sessions[body.session] = body
            case CommitRecord():
                over[body.session] = body.round
            case AnswerRecord() | ClosedRecord():
                over[body.session] = body.round + 1
            case EndedRecord():
                over |= {sid: len(session.sealed) for sid, session in sessions.items()}
            case _:
                pass
    for sid, session in sessions.items():
        for r in range(over.get(sid, 0)):
            for secret in disk.slots.values():
                assert not _opens(session, r, secret), f"round {r} is over and can be opened"


def _opens(session: SessionRecord, r: int, secret: Secret) -> bool:
    """Whether a slot opens round r, by its chain value as it stands or taken for r's own."""
    raw = secret.reveal()
    position, chain = int.from_bytes(raw[:-32], "little"), Secret(raw[-32:], "guess")
    for place in {r, min(r, position)}:
        try:
            Vault(session.session, session.sealed, place, chain).open(r)
        except (AuthenticationError, ParameterError):
            continue
        return True
    return False
