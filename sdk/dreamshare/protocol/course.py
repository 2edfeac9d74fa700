"""What a task's secure-aggregation machine gives, on the aggregator: rounds, refusals, ends.

Rules:
- whatever the machine wants goes on at once: messages leave, records are kept, outcomes reported;
- a sum leaves as means over the survivors' weights (docs/protocol.md 12.3); a round that was given
  up leaves its order open, until it was asked for as often as the terms allow;
- a task that cannot go on is closed here; what is left of its last epoch's effects is dropped, but
  for what was to be sent or stored;
- nothing is begun here: see `coordinator`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dreamshare.ids import PartyId
from dreamshare.protocol import events, messages, outcomes
from dreamshare.protocol.attendance import Attendance
from dreamshare.protocol.epochs import Epochs
from dreamshare.protocol.events import CoordinatorEffect, Report, SendTo
from dreamshare.protocol.orders import OpenSum, Order
from dreamshare.protocol.pacing import Pacing
from dreamshare.protocol.phases import (
    CoordinatorPhase,
    Gathering,
    Over,
    Ready,
    SettingUp,
    Summing,
    Telling,
    sending,
    server_of,
)
from dreamshare.protocol.terms import TaskTerms
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg import events as sa2
from dreamshare_crypto.secagg.server import SecaggServer
from dreamshare_crypto.secagg.shard_messages import ToShard

Effects = Iterator[CoordinatorEffect]


class Course:
    """One task's course through its epochs and rounds.

    Args:
        terms: who takes part, for how long, in what.
        epochs: makes them.
        devices: who is here, and who stays out.
        pacing: how long devices take.

    Attributes:
        phase: where the task stands.
        order: what its owner wants and was not given yet.
        held: nothing new is begun.
    """

    def __init__(
        self, terms: TaskTerms, epochs: Epochs, devices: Attendance, pacing: Pacing
    ) -> None:
        self.phase: CoordinatorPhase = Gathering()
        self.order: Order | None = None
        self.held = False
        self._terms = terms
        self._epochs = epochs
        self._devices = devices
        self._pacing = pacing

    @property
    def server(self) -> SecaggServer | None:
        """The machine of the epoch that stands or is set up; None outside one."""
        return server_of(self.phase)

    @property
    def round(self) -> int | None:
        """The number of the open round, None while none is open."""
        return self.phase.round if isinstance(self.phase, Summing) else None

    def declined(self, declined: outcomes.DeviceDeclined, now: float) -> Effects:
        """A refusal of the open round, or of the epoch, counts once; others are out of date."""
        device, code, round_ = declined.device, declined.code, declined.round
        if round_ not in (None, self.round) or not self._devices.declined(device, code, round_):
            return
        yield Report(declined)
        if code is RefusalCode.S7 and isinstance(self.order, OpenSum):
            self.order = replace(self.order, answered_before=True)
        yield from self.without(sa2.Passed(device), now)

    def without(self, absence: sa2.Left | sa2.Passed, now: float) -> Effects:
        """Stop waiting for a device in whatever is going on."""
        if isinstance(self.phase, Telling):
            self.phase = replace(self.phase, waiting=self.phase.waiting - {absence.device})
        yield from self.forward(absence, now)

    def forward(self, event: sa2.ServerInput, now: float) -> Effects:
        """Hand an input to SA-2, if there is an epoch, and translate what it wants."""
        if self.server is not None:
            yield from self.translate(self.server.handle(event, now), now)

    def last_words(self, event: sa2.ServerInput, now: float) -> Effects:
        """Hand over an input that ends the epoch: only what it sends and stores still counts."""
        for effect in () if self.server is None else self.server.handle(event, now):
            if isinstance(effect, sa2.Send):
                yield sending(effect, self.phase)
            elif isinstance(effect, sa2.Persist | sa2.KeepEvidence):
                yield effect

    def translate(self, effects: Iterable[sa2.ServerEffect], now: float) -> Effects:
        """Carry out what the machine wants."""
        for effect in effects:
            if isinstance(self.phase, Over):
                return  # one of the effects failed the task; what is left belongs to its last epoch
            match effect:
                case sa2.Send():
                    yield sending(effect, self.phase)
                case sa2.Persist() | sa2.KeepEvidence() | ToShard():
                    yield effect
                case sa2.SessionReady() if isinstance(self.phase, SettingUp):
                    self.phase = Ready(self.phase.server)
                    yield Report(self._epochs.ready(self.phase.server, effect))
                case sa2.Summed():
                    yield from self._summed(effect, now)
                case sa2.RoundAbandoned(_, reason, answered):
                    yield from self._given_up(reason, answered, now)
                case sa2.Faulty(device, fault, round_):
                    self._devices.spoilt(PartyId(device))
                    yield Report(outcomes.DeviceFaulty(PartyId(device), fault, round_))
                case sa2.EpochOver(reason):
                    yield from self._epoch_over(reason, now)

    def _summed(self, summed: sa2.Summed, now: float) -> Effects:
        order, phase = self.order, self.phase
        if not isinstance(order, OpenSum) or not isinstance(phase, Summing):
            return
        self._pacing.summed(map(PartyId, summed.survivors), now)
        self.phase, self.order = Ready(phase.server), None
        roster, fields = len(self._epochs.roster), order.asked.fields
        done = order.done(summed, roster, self._terms.spent(fields, roster, len(summed.survivors)))
        if done is not None:
            yield Report(done)
            return
        yield from self._fail("every device answered with weight 0: nothing is shared", now)

    def _given_up(self, reason: sa2.AbortReason, answered: bool, now: float) -> Effects:
        order, phase = self.order, self.phase
        if not isinstance(order, OpenSum) or not isinstance(phase, Summing):
            return
        self._pacing.given_up()
        wished = self.held and reason is sa2.AbortReason.CANCELLED
        self.order = order = order.after_giving_up(answered, wished)
        again = order.given_up <= self._terms.retries
        self.phase = Ready(phase.server)
        spent, plan = self._terms.spent(order.asked.fields, len(self._epochs.roster), 0), phase.plan
        yield Report(outcomes.SumAbandoned(reason, again, plan.step, plan.cycle, spent))
        if not again:
            yield from self._fail(order.why_failed(reason), now)

    def _epoch_over(self, reason: sa2.EndReason, now: float) -> Effects:
        phase = self.phase
        yield Report(outcomes.EpochEnded(reason))
        self.phase = replace(phase, server=None) if isinstance(phase, Telling) else Gathering()
        mine = isinstance(phase, SettingUp) and not phase.disturbed
        if mine and (hopeless := self._epochs.failed(reason)):
            yield from self._fail(hopeless, now)

    # ---- the end ---------------------------------------------------------------------------------

    def _fail(self, reason: str, now: float) -> Effects:
        yield Report(outcomes.TaskFailed(reason))
        yield from self.close("failed", now)

    def close(self, outcome: str, now: float) -> Effects:
        """End the task."""
        yield from self.last_words(sa2.Abandoned(), now)
        yield SendTo(self._devices.here(), messages.TaskClosed(outcome))
        self.phase = Over(outcome)
        yield events.Close()
