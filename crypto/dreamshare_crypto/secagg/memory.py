"""What a device remembers beyond its sessions (docs/protocol.md 9.2, 13.3, 14.6).

Rules:
- the highest epoch of each task, the highest revocation list and protocol version seen, the
  payloads it answered, what it spent and the random graphs it was in: enough to refuse an old
  epoch, an old list, a repeated payload, a round beyond the budget, a graph drawn too often;
- where the device's operator wants rounds compared (13.4), the active devices of the last answer;
- one device has one Memory for all its tasks: `SecaggClient`s share the object they are given;
- it holds nothing secret and nothing that the journals do not: `absorb` rebuilds it from their
  EPOCH, DRAWN, VECTOR and ANSWER records, and `lasting` says what of a journal must outlive it.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Self

from dreamshare_crypto.accounting import Ledger
from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_crypto.secagg.graph_records import DrawnRecord
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.records import (
    AnswerRecord,
    ChargeRecord,
    EpochRecord,
    VectorRecord,
)


class Memory:
    """What one device remembers.

    Attributes:
        ledger: what it has spent.
    """

    __slots__ = (
        "_active",
        "_answered",
        "_draws",
        "_epochs",
        "_graphs",
        "_revocation",
        "_versions",
        "ledger",
    )

    def __init__(self) -> None:
        self.ledger = Ledger()
        self._epochs: dict[tuple[bytes, bytes], int] = {}
        self._revocation: dict[bytes, int] = {}
        self._versions: dict[bytes, int] = {}
        self._answered: dict[bytes, tuple[bytes, float]] = {}  # Hb -> (without draw, when)
        self._draws: Counter[bytes] = Counter()
        self._active: dict[bytes, frozenset[bytes]] = {}  # task -> ids of the last answered round
        self._graphs: dict[bytes, float] = {}  # rd -> when

    @classmethod
    def from_records(cls, records: Iterable[Record]) -> Self:
        """Return what the records of one or more journals say."""
        memory = cls()
        memory.absorb(records)
        return memory

    def absorb(self, records: Iterable[Record]) -> None:
        """Learn from journal records; what is known already stays as it is.

        Args:
            records: of one journal, or of several, one after the other; oldest first.

        Raises:
            MalformedError: a record that it learns from cannot be read.
        """
        task = b""
        for record in records:
            match record.kind:
                case RecordKind.EPOCH:
                    offer = EpochRecord.decode(record.body).offer
                    task = offer.task
                    self.note_offer(offer)
                case RecordKind.VECTOR | RecordKind.CHARGE:
                    for spent in _charges(record):
                        self.ledger.note(spent.session, spent.round, spent.charge, spent.charged_at)
                case RecordKind.DRAWN:
                    drawn = DrawnRecord.decode(record.body)
                    self.note_graph(drawn.roster_digest, drawn.drawn_at)
                case RecordKind.ANSWER:
                    answer = AnswerRecord.decode(record.body)
                    self.note_answer(answer.payload_hash, answer.base_hash, answer.answered_at)
                    self.note_active(task, frozenset(answer.active))
        # Journals come one after the other; `forget` drops from the front, oldest first.
        self._answered = dict(sorted(self._answered.items(), key=lambda item: item[1][1]))

    # ---- epochs, revocation lists, versions ------------------------------------------------------

    def highest_epoch(self, federation: bytes, task: bytes) -> int:
        """Return the highest epoch accepted for the task, -1 when there was none."""
        return self._epochs.get((federation, task), -1)

    def revocation_number(self, federation: bytes) -> int:
        """Return the highest revocation list number seen, -1 when there was none."""
        return self._revocation.get(federation, -1)

    def highest_version(self, aggregator: bytes) -> int:
        """Return the highest protocol version that this aggregator (id) has offered, or 0."""
        return self._versions.get(aggregator, 0)

    def note_offer(self, offer: EpochOffer) -> None:
        """Remember an offer that was accepted."""
        place = (offer.federation, offer.task)
        self._epochs[place] = max(offer.epoch, self.highest_epoch(*place))
        number = max(offer.revocations.number, self.revocation_number(offer.federation))
        self._revocation[offer.federation] = number
        aggregator = offer.aggregator.id
        self._versions[aggregator] = max(offer.version, self.highest_version(aggregator))

    # ---- random graphs (6.3) ---------------------------------------------------------------------

    def other_graphs(self, roster_digest: bytes, since: float) -> int:
        """Return how many other rosters of profile K were accepted after `since`, Unix seconds."""
        return sum(when > since for other, when in self._graphs.items() if other != roster_digest)

    def note_graph(self, roster_digest: bytes, now: float) -> None:
        """Remember a roster of profile K that was accepted at `now`, Unix seconds."""
        self._graphs.setdefault(roster_digest, now)

    # ---- answered payloads -----------------------------------------------------------------------

    def has_answered(self, payload_hash: bytes) -> bool:
        """Say whether a payload with this hash (draw included) was answered."""
        return payload_hash in self._answered

    def draws(self, base_hash: bytes) -> int:
        """Return how many draws of the payload with this hash (draw left out) were answered."""
        return self._draws[base_hash]

    def note_answer(self, payload_hash: bytes, base_hash: bytes, now: float) -> None:
        """Remember an answer given at `now`, Unix seconds."""
        if payload_hash not in self._answered:
            self._answered[payload_hash] = (base_hash, now)
            self._draws[base_hash] += 1

    def last_active(self, task: bytes) -> frozenset[bytes]:
        """Return the ids that were active in the task's last answered round; empty if unknown."""
        return self._active.get(task, frozenset())

    def note_active(self, task: bytes, active: frozenset[bytes]) -> None:
        """Remember the active devices of an answered round; an empty set says nothing."""
        if active:
            self._active[task] = active

    def forget(self, before: float, size: int) -> None:
        """Drop answers given before `before`, and the oldest of more than `size`."""
        while self._answered:
            payload_hash, (base_hash, when) = next(iter(self._answered.items()))
            if when >= before and len(self._answered) <= size:
                return
            del self._answered[payload_hash]
            self._draws[base_hash] -= 1
            if not self._draws[base_hash]:
                del self._draws[base_hash]


def lasting(records: Iterable[Record]) -> list[Record]:
    """Return what must be remembered of a journal that is dropped."""
    kept = []
    for record in records:
        match record.kind:
            case RecordKind.EPOCH | RecordKind.DRAWN | RecordKind.ANSWER | RecordKind.CHARGE:
                kept.append(record)
            case RecordKind.VECTOR:
                kept += [spent.record() for spent in _charges(record)]
    return kept


def _charges(record: Record) -> Iterator[ChargeRecord]:
    """Yield a VECTOR's or CHARGE's charge; the session of a damaged vector ends anyway (J1)."""
    if record.kind is RecordKind.CHARGE:
        yield ChargeRecord.decode(record.body)
        return
    with contextlib.suppress(MalformedError):
        yield VectorRecord.decode(record.body).spent()
