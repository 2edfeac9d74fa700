"""Who spoilt shares: marked edges and faulty devices of one epoch (docs/protocol.md 11.3, 11.4).

Rules:
- an answer off a decoded polynomial marks the edge between dealer and holder, because either may
  have lied; what the holder answers for that dealer is not used for the rest of the epoch;
- with at most `tolerated` liars an honest device is in no more than `tolerated` marks: its marks
  lead to liars alone. A device that has more is faulty, and so is a dealer whose sharing is proven
  bad; what a faulty device answers is not used at all;
- marks are counted by the device at the other end: two that each dealt to the other share one mark;
- a faulty device stays out of the later rounds and epochs of its task; a new task knows no faults.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Self

from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.secagg.events import FaultReason, Faulty, Persist, RecordKind, ServerEffect
from dreamshare_crypto.secagg.records import RecordBody
from dreamshare_crypto.transcript import Reader, Writer


class Blame:
    """What the rounds of one epoch found out about its members, by roster index."""

    __slots__ = ("_faulty", "_marked", "_partners", "_untold", "tolerated")

    def __init__(self, tolerated: int) -> None:
        self.tolerated = tolerated
        self._marked: set[tuple[int, int]] = set()
        self._partners: defaultdict[int, set[int]] = defaultdict(set)
        self._faulty: dict[int, FaultReason] = {}
        self._untold: dict[int, FaultReason] = {}

    @property
    def faulty(self) -> Mapping[int, FaultReason]:
        """Faulty members and what gave each away."""
        return MappingProxyType(self._faulty)

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self._marked and not self._faulty

    @property
    def marked(self) -> frozenset[tuple[int, int]]:
        """Every marked edge, as dealer and holder."""
        return frozenset(self._marked)

    def recall(self, marked: Iterable[tuple[int, int]], faulty: Mapping[int, FaultReason]) -> None:
        """Go back to what an earlier life found out and told."""
        self._faulty.update(faulty)
        for dealer, holder in marked:
            self.mark(dealer, holder)
        self._untold.clear()

    def marks(self, device: int) -> frozenset[int]:
        """Return the members at the other end of a device's marked edges."""
        return frozenset(self._partners.get(device, ()))

    def uses(self, dealer: int, holder: int) -> bool:
        """Say whether what `holder` answers for `dealer` counts."""
        return holder not in self._faulty and (dealer, holder) not in self._marked

    def mark(self, dealer: int, holder: int) -> None:
        """Mark the edge of an answer that is off the dealer's polynomial."""
        self._marked.add((dealer, holder))
        for device, other in ((dealer, holder), (holder, dealer)):
            self._partners[device].add(other)
            if len(self._partners[device]) > self.tolerated:
                self.accuse(device, FaultReason.MARKED_EDGES)

    def accuse(self, device: int, reason: FaultReason) -> None:
        """Call a device faulty; what was found first stays."""
        if device not in self._faulty:
            self._faulty[device] = self._untold[device] = reason

    def news(self) -> Mapping[int, FaultReason]:
        """Return who was found faulty since this was last asked."""
        untold, self._untold = self._untold, {}
        return untold


@dataclass(frozen=True, slots=True)
class FaultRecord(RecordBody):
    """The aggregator's journal: this device stays out of the task from now on.

    Attributes:
        epoch, round: where it was found out.
        device: its id, 16 bytes.
        reason: what gave it away.
    """

    KIND: ClassVar[RecordKind] = RecordKind.SERVER_FAULTY

    epoch: int
    round: int
    device: bytes
    reason: FaultReason

    def encode(self) -> bytes:
        writer = Writer().u64(self.epoch).u32(self.round).raw(self.device, 16)
        return writer.u8(self.reason).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        epoch, number, device, reason = reader.u64(), reader.u32(), reader.raw(16), reader.u8()
        reader.end()
        try:
            return cls(epoch, number, device, FaultReason(reason))
        except ValueError:
            raise MalformedError(f"unknown reason {reason} of a fault") from None


def found_faulty(
    blame: Blame, ids: Sequence[bytes], epoch: int, number: int
) -> tuple[ServerEffect, ...]:
    """Return what is journalled and told of each member that `blame` found faulty in a round.

    Args:
        blame: of the epoch; what it told once it does not tell again.
        ids: device ids by roster index.
        epoch, number: where they were found out.
    """
    effects: list[ServerEffect] = []
    for index, reason in sorted(blame.news().items()):
        record = FaultRecord(epoch, number, ids[index], reason).record()
        effects += (Persist(record), Faulty(ids[index], reason, number))
    return tuple(effects)
