"""What a task's journal says after a restart, and where the task goes on (docs/protocol.md 9.8).

Rules:
- the epoch that was running goes on, and in it the round that was open: same survivors, same sum;
- it does not where its terms, the aggregator's certificate or the revocation list are others now,
  or where the journal does not hold together: the task says why, and another epoch follows;
- a round goes on for the very plan that it was opened for; any other is given up;
- how often the open order was given up is remembered, so that a restart buys no further attempts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.border import crypto_border
from dreamshare.protocol.epochs import faulty_devices, last_epoch
from dreamshare.protocol.orders import OpenSum, Order
from dreamshare.protocol.phases import Ready, SettingUp, Summing
from dreamshare.protocol.plan import RoundPlan
from dreamshare.protocol.terms import TaskTerms
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_crypto.secagg.server import SecaggServer
from dreamshare_crypto.secagg.server_records import DoneRecord
from dreamshare_crypto.secagg.server_restore import NotRestorable


@dataclass(frozen=True, slots=True)
class Stored:
    """What a coordinator begins with.

    Attributes:
        tells: the Tells that were stored, oldest first.
        last_epoch: highest epoch that was ever offered.
        faulty: devices that spoilt shares of this task.
        server: the epoch that goes on; None where none was running.
        given_up: how often the open order's round was given up.
        draw: how many of those times somebody may have answered (7.1).
        lost: why the epoch that was running cannot go on, in words; empty where it does.
    """

    tells: tuple[RoundPlan, ...] = ()
    last_epoch: int = 0
    faulty: tuple[PartyId, ...] = ()
    server: SecaggServer | None = None
    given_up: int = 0
    draw: int = 0
    lost: str = ""

    def take_up(self, order: Order | None) -> Order | None:
        """Return the first order after the restart with what became of it before."""
        if isinstance(order, OpenSum):
            return replace(order, draw=self.draw, given_up=self.given_up)
        return order


def read_task(
    identity: Identity,
    task: TaskId,
    terms: TaskTerms,
    entropy: Entropy,
    records: Sequence[Record],
    now: float,
    tells: Sequence[RoundPlan] = (),
    threads: int = 1,
) -> Stored:
    """Return what a journal says; reading vectors and signatures back takes a moment.

    Args:
        identity: the aggregator's own.
        task: the task's id.
        terms: who takes part now, for how long, in what.
        entropy: of nonces.
        records: of the task, oldest first.
        now: Unix seconds.
        tells: that the journal holds (`dreamshare.driver.task.stored_tells`).
        threads: how many an input may be handled with.

    Raises:
        PeerProtocolError: an offer, a fault or the end of a round cannot be read.
    """
    server, lost = None, ""
    try:
        server = SecaggServer.restore(identity, records, entropy, now, threads)
    except NotRestorable as error:
        lost = f"it cannot go on after the restart: {error}"
    if server is not None:
        lost = _changed(server, identity, task, terms)
    given_up, draw = _attempts(records)
    return Stored(
        tuple(tells),
        last_epoch(records),
        faulty_devices(records),
        None if lost else server,
        given_up,
        draw,
        lost,
    )


def _changed(server: SecaggServer, identity: Identity, task: TaskId, terms: TaskTerms) -> str:
    """Return why an epoch that could go on must not; empty where it may."""
    offer = server.offer
    if offer.revocations != identity.revocations:
        return "the revocation list changed during the restart"
    now_offered = terms.epoch(1).offer(identity, task, offer.epoch, offer.not_before)
    same = replace(now_offered, rounds=offer.rounds, signature=offer.signature)
    return "" if same == offer else "the task runs on other terms since the restart"


def _attempts(records: Iterable[Record]) -> tuple[int, int]:
    """Return how often the open order's round was given up, and how often after an answer."""
    given_up = draw = 0
    with crypto_border():
        ends = [DoneRecord.decode(r.body) for r in records if r.kind is RecordKind.SERVER_DONE]
    for end in ends:
        if end.reason is None:
            given_up = draw = 0
        else:
            given_up, draw = given_up + 1, draw + end.answered
    return given_up, draw


def resumed(
    server: SecaggServer, order: Order | None, last_tell: bytes
) -> SettingUp | Ready | Summing:
    """Return the phase in which a task goes on with a restored epoch.

    Args:
        server: the epoch.
        order: what the owner wants now, with its earlier attempts.
        last_tell: hash of the newest Tell.
    """
    if server.session is None:
        return SettingUp(server, disturbed=True)
    start = server.open_round
    if start is not None and isinstance(order, OpenSum):
        plan = order.plan(last_tell)
        if plan.payload().hash == start.payload_hash:
            return Summing(server, plan, start.round)
    return Ready(server)
