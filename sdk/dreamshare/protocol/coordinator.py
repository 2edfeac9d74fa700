"""The aggregator's side of one task: epochs, rounds, Tells and who takes part, without any IO.

Rules:
- one order is open at a time: a sum (`Asked`) or a Tell (`Told`); its end is reported, and the
  owner gives the next one;
- epochs are renewed between rounds only: when rounds or life run out, when too few members are
  left, or when enough devices wait (docs/protocol.md, 4.11, 13.1);
- before a round opens, members that lack a Tell get it and learn from it;
- a round that was given up is asked again, with another draw when anybody had answered (7.1);
- while it is held nothing is begun: what is open is finished, or given up, and the epoch stands as
  long as it lives;
- a Tell is stored before it leaves.

What the secure-aggregation machine gives is carried out by `course`; what comes next is decided
here. It knows neither the algorithm nor its state, and never a single device's values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dreamshare.errors import LocalProtocolError
from dreamshare.ids import PartyId, SessionId, TaskId
from dreamshare.protocol import events, messages, outcomes
from dreamshare.protocol.attendance import Attendance
from dreamshare.protocol.course import Course, Effects
from dreamshare.protocol.epochs import Epochs
from dreamshare.protocol.events import CoordinatorEffect, CoordinatorInput, Report
from dreamshare.protocol.orders import OpenSum, OpenTell, Order
from dreamshare.protocol.pacing import Pacing
from dreamshare.protocol.phases import (
    COORDINATOR_LEGAL,
    CoordinatorPhase,
    Gathering,
    Over,
    Ready,
    SettingUp,
    Summing,
    Telling,
    check_legal,
    disturbed,
)
from dreamshare.protocol.resuming import Stored, resumed
from dreamshare.protocol.selection import gather
from dreamshare.protocol.tells import Tells
from dreamshare.protocol.terms import TaskTerms
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg import events as sa2
from dreamshare_crypto.secagg.server import SecaggServer
from dreamshare_crypto.secagg.shard_messages import Claim, Collect, FromShard


class Coordinator:
    """One task on the aggregator.

    Attributes:
        task, terms: its id, and what it was told once.
    """

    def __init__(
        self,
        identity: Identity,
        task: TaskId,
        terms: TaskTerms,
        entropy: Entropy,
        stored: Stored | None = None,
        threads: int = 1,
    ) -> None:
        """Begin, or go on with a task after a restart.

        Args:
            identity: the aggregator's own.
            task: the task's id.
            terms: who takes part, for how long, in what.
            entropy: of nonces.
            stored: what its journal says (`resuming.read_task`); None for a new task.
            threads: how many an input may be handled with.

        Raises:
            ConfigError: a step of the terms does not fit the encoding.
        """
        terms.epoch(1)
        self.task = task
        self.terms = terms
        self._entropy = entropy
        self._pacing = Pacing(terms.cohort.quorum)
        self._stored = stored = stored or Stored()
        self._epochs = Epochs(identity, task, terms, entropy, stored.last_epoch, threads)
        self._devices = Attendance(terms.algorithm, stored.faulty)
        self._tells = Tells(stored.tells)
        self._reunion = 0.0  # until when members of a restored epoch are waited for
        self._course = Course(terms, self._epochs, self._devices, self._pacing)

    @property
    def phase(self) -> CoordinatorPhase:
        """Where the task stands."""
        return self._course.phase

    @property
    def held(self) -> bool:
        """Whether nothing new is begun."""
        return self._course.held

    @property
    def deadline(self) -> float | None:
        """When `Ticked` is due, or None."""
        moments = [None if self._course.server is None else self._course.server.deadline]
        match self.phase:
            case Gathering(until) if self._course.order is not None and not self.held:
                moments.append(until)
            case Telling(until=until):
                moments.append(until)
            case Summing():
                moments.append(self._pacing.until)
            case Ready() if self._course.order is not None and not self.held:
                moments.append(self._reunion or None)
        return min((m for m in moments if m is not None), default=None)

    @property
    def session(self) -> SessionId | None:
        """The id of the running session, for envelope headers; None outside one."""
        session = None if self._course.server is None else self._course.server.session
        return None if session is None else SessionId(session)

    @property
    def round(self) -> int | None:
        """The number of the open round, None while none is open."""
        return self._course.round

    @property
    def members(self) -> tuple[PartyId, ...]:
        """The devices that the next round is open to; empty outside an epoch."""
        return () if self._course.server is None else _ids(self._course.server.members)

    @property
    def collecting(self) -> Collect | None:
        """What shards have to know of the round whose vectors come in; None while none do."""
        return None if self._course.server is None else self._course.server.collecting

    def renew(self, identity: Identity) -> None:
        """Offer with a newer certificate or revocation list, from the next epoch on (5.6, 5.7)."""
        self._epochs.renew(identity)

    def handle(self, event: CoordinatorInput, now: float) -> tuple[CoordinatorEffect, ...]:
        """Take one input and return what to do about it, in order.

        Raises:
            PeerProtocolError: a device sent what has no place in this phase.
            LocalProtocolError: the caller gave such an input, or a second order.
            ConfigError: the order is not one that the terms declare.
        """
        check_legal(COORDINATOR_LEGAL, self.phase, event)
        if isinstance(event, events.Asked | events.Told) and self._course.order is not None:
            raise LocalProtocolError("an order is open; wait for its report")
        if isinstance(self.phase, Over):
            return ()
        if isinstance(event, sa2.Acknowledging):
            return tuple(self._course.forward(event, now))
        return tuple(self._react(event, now)) + tuple(self._advance(now))

    def _react(self, event: CoordinatorInput, now: float) -> Effects:
        match event:
            case events.Joined(device, algorithms, fresh, attributes):
                if self._devices.joined(device, algorithms, fresh, attributes):
                    self._course.phase = disturbed(self.phase)
                    self._tells.came(device)
                    yield from self._course.forward(sa2.Returned(device), now)
            case events.Departed(device):
                self._devices.departed(device)
                self._course.phase = disturbed(self.phase)
                if device in self.members:
                    yield Report(outcomes.DeviceDropped(device))
                yield from self._course.without(sa2.Left(device), now)
            case events.HeardFrom(device, messages.Sa2(stage, body)):
                if stage is sa2.Stage.MASKED_INPUT and isinstance(self.phase, Summing):
                    self._pacing.answered(device, now)
                yield from self._course.forward(sa2.Arrived(device, stage, body), now)
            case FromShard(_, said):
                if isinstance(said, Claim) and isinstance(self.phase, Summing):
                    self._pacing.answered(PartyId(said.device), now)
                yield from self._course.forward(event, now)
            case events.HeardFrom(device, messages.Declined(code, round_)):
                yield from self._course.declined(outcomes.DeviceDeclined(device, code, round_), now)
            case events.HeardFrom(device, messages.TellDone(number)):
                later = now + self.terms.deadlines.collect_s
                self._course.phase, sends = self._tells.hear(self.phase, device, number, later)
                yield from sends
            case events.Asked():
                self.terms.check(event)
                self._course.order = OpenSum(event)
                yield from self._resume(now)
            case events.Told(plan):
                chained = self._tells.add(plan)
                self._course.order = OpenTell(plan)
                if chained is not None:
                    yield events.KeepTell(self._tells.count, chained)
                yield from self._resume(now)
            case events.Held(give_up):
                self._course.held = True
                if give_up and isinstance(self.phase, Summing):
                    yield from self._course.forward(sa2.Cancelled(), now)
            case events.Released():
                self._course.held = False
            case events.Finished(outcome):
                if isinstance(self.phase, Summing):
                    yield from self._course.last_words(sa2.Cancelled(), now)
                yield from self._course.close(outcome, now)
            case sa2.Ticked():
                for slow in self._pacing.overdue(now) if isinstance(self.phase, Summing) else ():
                    yield from self._course.forward(sa2.Passed(slow), now)
                yield from self._course.forward(event, now)

    def _resume(self, now: float) -> Effects:
        """The first order after a restart: go on with the epoch that was running (9.8)."""
        stored, self._stored = self._stored, Stored()
        self._course.order = stored.take_up(self._course.order)
        if stored.lost:
            yield Report(outcomes.EpochEnded(stored.lost))
        if (server := stored.server) is None:
            return
        self._course.phase = resumed(server, self._course.order, self._tells.last_hash)
        self._reunion = now + self.terms.deadlines.setup_s
        self._pacing.opened(self.members, len(self.members), self.terms.deadlines, now)
        if server.ready is not None:
            yield Report(self._epochs.resume(server, server.ready))
        yield from self._course.translate(server.resume(now), now)
        if server.open_round is not None and isinstance(self.phase, Ready):
            yield from self._course.forward(sa2.Cancelled(), now)  # it was opened for another plan
        for device in self._devices.here():
            yield from self._course.forward(sa2.Returned(device), now)

    # ---- what comes next -------------------------------------------------------------------------

    def _advance(self, now: float) -> Effects:
        """Go on until something has to be waited for."""
        while True:
            before = self.phase
            match before:
                case Gathering() if not self.held:
                    yield from self._gather(before, now)
                case Ready(server) if self._course.order is not None and not self.held:
                    yield from self._begin(server, self._course.order, now)
                case Telling() if not before.waiting or now >= before.until:
                    yield from self._stop_telling(before)
            if self.phase is before:
                return

    def _gather(self, phase: Gathering, now: float) -> Effects:
        order, terms = self._course.order, self.terms
        here = () if order is None else self._devices.candidates()
        chosen = gather(phase, here, terms.cohort, terms.grace_s, now, self._entropy)
        if isinstance(chosen, Gathering):
            self._course.phase = chosen
        elif isinstance(order, OpenTell):
            yield from self._tell(None, chosen, now)
        elif order is not None:
            server = self._epochs.begin(chosen, order.asked.sums, now)
            self._course.phase = SettingUp(server)
            self._devices.offered(chosen)
            yield from self._course.translate(server.start(now), now)

    def _begin(self, server: SecaggServer, order: Order, now: float) -> Effects:
        """An epoch stands and an order is open."""
        here = tuple(d for d in _ids(server.members) if self._devices.is_here(d))
        if now < self._reunion and len(here) < len(server.members):
            return
        self._reunion = 0.0
        if isinstance(order, OpenTell):
            yield from self._tell(server, here, now)
            return
        waiting = self._devices.waiting(here)
        if self._epochs.must_renew(server, len(here), waiting, now):
            yield from self._course.last_words(sa2.Abandoned(), now)
            yield Report(outcomes.EpochEnded("renewed"))
            self._course.phase = Gathering()
            return
        if not order.caught_up and any(self._tells.is_behind(d) for d in here):
            yield from self._tell(server, filter(self._tells.is_behind, here), now)
            return
        plan = order.plan(self._tells.last_hash)
        fewest = self.terms.fewest(len(self._epochs.roster), len(here))
        times = self._pacing.opened(here, fewest, self.terms.deadlines, now)
        self._course.phase = Summing(server, plan, self._epochs.next_round(server))
        self._tells.round_begins()
        self._devices.round_begins()
        yield from self._course.forward(self.terms.opening(plan, order.asked.fields, times), now)

    # ---- tells -----------------------------------------------------------------------------------

    def _tell(self, server: SecaggServer | None, devices: Iterable[PartyId], now: float) -> Effects:
        """Have each of these devices learn what it lacks, and wait."""
        until = now + self.terms.deadlines.collect_s
        self._course.phase, sends = self._tells.begin(server, devices, until)
        yield from sends

    def _stop_telling(self, phase: Telling) -> Effects:
        """Everybody has learnt, or the time is over."""
        match self._course.order:
            case OpenTell(plan):
                self._course.order = None
                yield Report(self._tells.spread(phase, plan))
            case OpenSum():
                self._course.order = replace(self._course.order, caught_up=True)
        self._course.phase = Gathering() if phase.server is None else Ready(phase.server)


def _ids(devices: Iterable[bytes]) -> tuple[PartyId, ...]:
    return tuple(map(PartyId, devices))
