"""A task's epochs, one after the other: when one begins, and when the next must follow.

Rules:
- an epoch's number grows past every stored one, and with the clock, so that even a coordinator that
  lost its journal offers none that devices have seen (docs/protocol.md, 10, O2);
- an epoch is renewed between rounds only (13.1), before a round could outlive it, or when a batch
  of devices waits (4.11).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dreamshare.ids import PartyId, SessionId, TaskId
from dreamshare.protocol.border import crypto_border
from dreamshare.protocol.outcomes import EpochResumed, EpochStarted
from dreamshare.protocol.selection import places_of
from dreamshare.protocol.terms import TaskTerms
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.blame import FaultRecord
from dreamshare_crypto.secagg.events import EndReason, Record, RecordKind, SessionReady
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.server import SecaggServer


class Epochs:
    """Begins epochs and knows what the running one began with.

    Attributes:
        roster: who was in the running epoch when it was ready.
    """

    def __init__(
        self,
        identity: Identity,
        task: TaskId,
        terms: TaskTerms,
        entropy: Entropy,
        last_epoch: int = 0,
        threads: int = 1,
    ) -> None:
        self.roster: tuple[PartyId, ...] = ()
        self._identity = identity
        self._task = task
        self._terms = terms
        self._entropy = entropy
        self._number = last_epoch
        self._threads = threads
        self._rounds = 0
        self._failures = 0

    def renew(self, identity: Identity) -> None:
        """Offer with this identity's certificate and revocation list from the next epoch on."""
        self._identity = identity

    def begin(self, candidates: Sequence[PartyId], sums: int, now: float) -> SecaggServer:
        """Return the machine of a new epoch for a task that still needs `sums` sums."""
        self._number = max(self._number + 1, int(now * 1000))
        terms = self._terms.epoch(sums)
        with crypto_border():
            return SecaggServer(
                self._identity,
                self._task,
                self._number,
                terms,
                self._entropy,
                candidates,
                now,
                self._threads,
            )

    def ready(self, server: SecaggServer, ready: SessionReady) -> EpochStarted:
        """The set-up went well; return what to say of the epoch."""
        self._failures = 0
        self._settle(server, ready)
        session = SessionId(ready.session)
        return EpochStarted(session, self.roster, self._rounds, ready.crowd, ready.colluders)

    def resume(self, server: SecaggServer, ready: SessionReady) -> EpochResumed:
        """An epoch goes on that another process set up; return what to say of it."""
        self._number = max(self._number, server.epoch)
        self._settle(server, ready)
        session, left = SessionId(ready.session), server.rounds_left
        return EpochResumed(session, self.roster, left, ready.crowd, ready.colluders)

    def _settle(self, server: SecaggServer, ready: SessionReady) -> None:
        self.roster = tuple(PartyId(device) for device in ready.members)
        self._rounds = server.offer.rounds

    def failed(self, reason: EndReason) -> str:
        """The set-up failed; return why another is not worth trying, empty where it is."""
        self._failures += 1
        if self._failures <= self._terms.retries:
            return ""
        return (
            f"{self._failures} epoch set-ups in a row failed, the last one because of {reason}: "
            "see which devices declined, and why"
        )

    def next_round(self, server: SecaggServer) -> int:
        """Return the number that the next round of the running epoch has."""
        return self._rounds - server.rounds_left

    def must_renew(self, server: SecaggServer, here: int, waiting: int, now: float) -> bool:
        """Say whether the next round needs another epoch.

        Args:
            server: the running epoch, no round open.
            here: how many of the devices that the next round is open to are connected.
            waiting: how many willing devices were not offered it and are not among those.
            now: Unix seconds.
        """
        times, cohort = self._terms.deadlines, self._terms.cohort
        longest = times.collect_s + times.reveal_s
        if server.rounds_left == 0 or server.deadline is None or server.deadline - now < longest:
            return True
        if here < server.least_active:
            return True
        batch = max(1, -(-len(self.roster) // 10))
        return min(waiting, places_of(cohort) - here) >= batch and here + waiting >= cohort.least


def last_epoch(records: Iterable[Record]) -> int:
    """Return the highest epoch that a journal says was offered, 0 for none.

    Raises:
        PeerProtocolError: a record is damaged.
    """
    with crypto_border():
        offers = (EpochOffer.decode(r.body) for r in records if r.kind is RecordKind.SERVER_EPOCH)
        return max((offer.epoch for offer in offers), default=0)


def faulty_devices(records: Iterable[Record]) -> tuple[PartyId, ...]:
    """Return the devices that a journal says have spoilt shares, as they were found (11.3).

    Raises:
        PeerProtocolError: a record is damaged.
    """
    with crypto_border():
        found = (FaultRecord.decode(r.body) for r in records if r.kind is RecordKind.SERVER_FAULTY)
        return tuple(dict.fromkeys(PartyId(fault.device) for fault in found))
