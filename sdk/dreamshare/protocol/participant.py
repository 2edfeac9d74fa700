"""A device's side of one task: offers, rounds and Tells, without any IO.

Rules:
- it owns the task's SecaggClient and forwards SA-2 messages; nothing here knows a mask or a share;
- a plan is permitted before SA-2 commits to its round, computed once per payload hash, and its
  update waits in a slot when the round was given up, so that a retry does not compute again;
- an answer that is in no sum although its round was closed is set aside: it is sent no more, and
  the owner's learner may carry it over to the next answer;
- a round whose plan names another last Tell than the device's own is declined ("behind"), and the
  device says how far it has come, so that the aggregator sends what is missing;
- a Tell is journalled, learnt from, journalled again, acknowledged: in this order;
- effects come in the order in which they must be carried out (docs/protocol.md, 9.1).

It does not time anything out: a device waits as long as its epoch lives (`deadline`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol import events, messages, outcomes
from dreamshare.protocol.events import Emit, ParticipantEffect, ParticipantInput, Send
from dreamshare.protocol.messages import Declined, TellDone
from dreamshare.protocol.permits import Permits, refusal_of
from dreamshare.protocol.phases import (
    PARTICIPANT_LEGAL,
    Answering,
    Computing,
    Gone,
    Learning,
    ParticipantPhase,
    Pending,
    Prepared,
    Resting,
    check_legal,
)
from dreamshare.protocol.plan import RoundPlan, signed_fields
from dreamshare.protocol.position import TellPosition
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.keys import Secret
from dreamshare_crypto.noise import noise_in_bounds
from dreamshare_crypto.secagg import events as sa2
from dreamshare_crypto.secagg.client import SecaggClient
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.once import Once
from dreamshare_crypto.secagg.rollback import Numbers

Effects = Iterator[ParticipantEffect]

_RESULT_HEAD = struct.Struct("<32xI")


class Participant:
    """One device in one task; a second task is a second object.

    Attributes:
        task: the task's id.
        phase: where it stands, read-only.
    """

    def __init__(
        self,
        identity: Identity,
        task: TaskId,
        floor: Floor,
        entropy: Entropy,
        permits: Permits,
        memory: Memory,
        threads: int = 1,
        once: Once | None = None,
    ) -> None:
        """Begin without an epoch; all participants of one device share its `memory`.

        At most `threads` compute while an input is handled; results do not depend on it. Devices of
        one process may share `once`, so that they check public bytes once.
        """
        self.task = task
        self.phase: ParticipantPhase = Resting()
        self._core = SecaggClient(identity, task, floor, entropy, memory, threads, once)
        self._permits = permits
        self._position = TellPosition()
        self._asked: RoundPlan | None = None  # the plan of the newest opening, for outcomes

    @classmethod
    def restore(
        cls,
        identity: Identity,
        task: TaskId,
        floor: Floor,
        entropy: Entropy,
        permits: Permits,
        memory: Memory,
        records: Sequence[sa2.Record],
        slots: Mapping[str, Secret],
        threads: int = 1,
        numbers: Numbers | None = None,
    ) -> Participant:
        """Return the participant that wrote this journal, as it was after the last whole record.

        What was being computed or learnt when it stopped is ordered again when the aggregator
        repeats the round or the Tell, which it does on the first `Connected`. With `numbers`, a
        journal that is an old copy ends its session (docs/protocol.md 9.7).
        """
        participant = cls(identity, task, floor, entropy, permits, memory, threads)
        own = [record for record in records if record.kind is not sa2.RecordKind.OWNER]
        participant._core = SecaggClient.restore(
            identity, task, floor, entropy, own, slots, memory, threads, numbers
        )
        participant._position = TellPosition.restore(records)
        return participant

    @property
    def deadline(self) -> float | None:
        """When `Ticked` is due, or None."""
        return None if isinstance(self.phase, Gone) else self._core.deadline

    @property
    def session(self) -> bytes | None:
        """The id of the running session, for envelope headers; None outside one."""
        return self._core.session

    @property
    def tells_learnt(self) -> int:
        """The number of the newest Tell that was learnt from."""
        return self._position.learnt

    def handle(self, event: ParticipantInput, now: float) -> tuple[ParticipantEffect, ...]:
        """Take one input and return what to do about it, in order.

        Raises:
            PeerProtocolError: the aggregator sent what has no place in this phase.
            LocalProtocolError: the caller gave such an input.
        """
        check_legal(PARTICIPANT_LEGAL, self.phase, event)
        if isinstance(self.phase, Gone):
            return ()
        return tuple(self._react(event, now))

    def _react(self, event: ParticipantInput, now: float) -> Effects:
        match event:
            case events.Heard(messages.Sa2(stage, body)):
                if stage in (sa2.Stage.ROUND_ABORT, sa2.Stage.ROUND_RESULT):
                    self._drop_held()
                if stage is sa2.Stage.ROUND_RESULT and isinstance(self.phase, Computing):
                    self.phase = replace(self.phase, closed=_round_of(body) == self.phase.round)
                yield from self._forward(sa2.Received(stage, body), now)
            case events.Heard(messages.RoundOpening() as opening):
                yield from self._open(opening, now)
            case events.Heard(messages.TellOrder() as order):
                yield from self._tell(order, now)
            case events.Heard(messages.TaskClosed(outcome)):
                yield from self._leave(now)
                yield Emit(outcomes.TaskOver(self.task, outcome))
                yield events.Close()
            case events.Connected():
                yield Send(TellDone(self._position.learnt))
            case events.Computed() as done:
                yield from self._computed(done, now)
            case events.ComputeFailed() as failed:
                yield from self._compute_failed(failed, now)
            case events.Learnt() | events.LearnFailed():
                yield from self._learning_ended(event, now)
            case events.Interrupted(text):
                yield from self._interrupt(text, now)
            case sa2.Ticked():
                yield from self._forward(event, now)
            case sa2.Abandoned():
                yield from self._leave(now)
                yield events.Close()

    # ---- rounds ----------------------------------------------------------------------------------

    def _open(self, opening: messages.RoundOpening, now: float) -> Effects:
        if isinstance(self.phase, Learning):
            self.phase = replace(self.phase, held=opening)
            return
        if self._core.session is None:  # its journal is gone, or the epoch ended here
            yield Send(Declined(RefusalCode.J1, None))
            return
        plan = opening.plan
        behind = plan.last_tell != self._position.learnt_hash
        refused = (RefusalCode.S5, "behind") if behind else refusal_of(self._permits, plan)
        payload = plan.payload()
        if refused is None:
            self._asked = plan
        else:
            payload = replace(payload, refusal=refused[0])
        received = sa2.Received(sa2.Stage.ROUND_START, opening.start, payload)
        for effect in self._forward(received, now, "" if refused is None else refused[1]):
            yield effect
            if behind and isinstance(effect, Send) and isinstance(effect.message, Declined):
                yield Send(TellDone(self._position.learnt))

    def _compute(self, order: sa2.Compute, now: float) -> Effects:
        """SA-2 committed to the round: use the slot, join a running computation, or order one."""
        plan = self._asked
        fields = None if plan is None else signed_fields(plan, order.params)
        if plan is None or fields is None:
            text = "the plan's fields are not those of the signed parameters"
            failed = sa2.ComputeFailed(order.round, RefusalCode.E1)
            yield from self._forward(failed, now, text)
            return
        slot = self._slot()
        yield from self._lost()
        self.phase = Computing(order.round, order.payload_hash, fields)
        match slot:
            case Prepared(payload_hash, update) if payload_hash == order.payload_hash:
                yield from self._computed(events.Computed(payload_hash, update), now)
            case Pending(payload_hash) if payload_hash == order.payload_hash:
                return
            case _:
                cap, noise = order.params.weight_cap, noise_in_bounds(order.params)
                yield events.Compute(order.payload_hash, plan, fields, cap, noise)

    def _computed(self, done: events.Computed, now: float) -> Effects:
        match self.phase:
            case Computing(_, payload_hash, _, True) if payload_hash == done.payload_hash:
                self.phase = Resting()
                if self._asked is not None:
                    yield events.SetAside(self._asked, done.update)
            case Computing(round_, payload_hash, fields) if payload_hash == done.payload_hash:
                try:
                    flat = done.update.flatten(fields)
                except ConfigError as error:
                    failed = sa2.ComputeFailed(round_, RefusalCode.E1)
                    self.phase = Resting()
                    yield from self._forward(failed, now, str(error))
                    return
                self.phase = Answering(round_, Prepared(payload_hash, done.update))
                yield from self._forward(sa2.Computed(round_, flat, done.update.weight), now)
            case Resting(Pending(payload_hash)) if payload_hash == done.payload_hash:
                self.phase = Resting(Prepared(payload_hash, done.update))

    def _compute_failed(self, failed: events.ComputeFailed, now: float) -> Effects:
        match self.phase:
            case Computing(round_, payload_hash) if payload_hash == failed.payload_hash:
                self.phase = Resting()
                yield from self._forward(sa2.ComputeFailed(round_, failed.code), now, failed.text)
            case Resting(Pending(payload_hash)) if payload_hash == failed.payload_hash:
                self.phase = Resting()

    def _interrupt(self, text: str, now: float) -> Effects:
        match self.phase:
            case Computing(round_):
                self.phase = Resting()
                yield events.Stop()
                yield from self._forward(sa2.ComputeFailed(round_, RefusalCode.S6), now, text)
            case Learning(held=held):
                self.phase = Resting()
                yield events.Stop()
                if held is not None:  # refused as 'behind', so that nobody waits for this device
                    yield from self._open(held, now)
            case Resting(Pending()):
                self.phase = Resting()
                yield events.Stop()

    # ---- tells -----------------------------------------------------------------------------------

    def _tell(self, order: messages.TellOrder, now: float) -> Effects:
        if isinstance(self.phase, Learning):
            return  # the acknowledgement that follows brings whatever comes next
        if not self._position.follows(order):
            yield Send(TellDone(self._position.learnt))
            return
        refused = refusal_of(self._permits, order.plan)
        if refused is not None:
            yield Send(Declined(refused[0], None))
            yield Emit(outcomes.RoundDeclined(self.task, None, *refused))
            return
        if isinstance(self.phase, Computing):  # the coordinator has moved on
            failed = sa2.ComputeFailed(self.phase.round, RefusalCode.S6)
            yield from self._forward(failed, now, "a Tell came instead")
        tell_hash = order.plan.payload().hash
        if tell_hash != self._position.heard_hash:
            self._position = self._position.hear(tell_hash)
            yield events.Persist(self._position.heard_record())
        self.phase = Learning(order.number, tell_hash, order.plan.step)
        yield events.Learn(order.number, order.plan)

    def _learning_ended(self, event: events.Learnt | events.LearnFailed, now: float) -> Effects:
        phase = self.phase
        if not isinstance(phase, Learning) or phase.number != event.number:
            return
        self.phase = Resting()
        if isinstance(event, events.LearnFailed):
            yield Send(Declined(RefusalCode.S6, None))
            code = RefusalCode.S6
            yield Emit(outcomes.RoundDeclined(self.task, None, code, event.text, private=True))
            return
        self._position = self._position.learn()
        yield events.Persist(self._position.learnt_record())
        yield Send(TellDone(event.number))
        yield Emit(outcomes.TellLearnt(self.task, event.number, phase.step))
        if phase.held is not None:
            yield from self._open(phase.held, now)

    def _drop_held(self) -> None:
        if isinstance(self.phase, Learning):
            self.phase = replace(self.phase, held=None)

    # ---- the secure-aggregation machine ----------------------------------------------------------

    def _forward(self, event: sa2.ClientInput, now: float, text: str = "") -> Effects:
        """Hand an input to SA-2 and translate what it wants; `text` explains a refusal."""
        for effect in self._core.handle(event, now):
            match effect:
                case sa2.Send(stage, body):
                    yield Send(messages.Sa2(stage, body))
                case sa2.Compute():
                    yield from self._compute(effect, now)
                case sa2.Refuse(code, round_, why):
                    yield from self._refused(code, round_, text or why)
                case sa2.RoundClosed(round_, reason, included):
                    yield from self._closed(round_, reason, included)
                case sa2.EpochOver():
                    yield from self._lost()
                    yield from self._rest()
                case sa2.SessionReady(_, members, crowd, colluders):
                    yield Emit(outcomes.EpochJoined(self.task, len(members), crowd, colluders))
                case _:
                    yield effect

    def _refused(self, code: RefusalCode, round_: int | None, text: str) -> Effects:
        match self.phase:
            case Computing(mine) | Answering(mine) if round_ == mine:
                yield from self._rest()
        yield Send(Declined(code, round_))
        private = code is RefusalCode.E1  # of what was computed: an error of learner or data
        yield Emit(outcomes.RoundDeclined(self.task, round_, code, text, private))

    def _closed(self, round_: int, reason: sa2.AbortReason | None, included: bool) -> Effects:
        plan = self._asked
        match self.phase:
            case Computing(mine, payload_hash) if mine == round_:
                self.phase = Resting(Pending(payload_hash))
            case Answering(mine, slot) if mine == round_:
                self.phase = Resting(None if reason is None else slot)
                if reason is None and not included and plan is not None:
                    yield events.SetAside(plan, slot.update)
        if reason is not None:
            yield Emit(outcomes.RoundAborted(self.task, round_, reason))
        elif plan is not None:
            yield Emit(outcomes.RoundDone(self.task, round_, plan.algorithm, plan.step, plan.cycle))

    # ---- leaving ---------------------------------------------------------------------------------

    def _slot(self) -> Pending | Prepared | None:
        match self.phase:
            case Resting(slot) | Answering(_, slot):
                return slot
            case Computing(_, payload_hash):
                return Pending(payload_hash)
        return None

    def _lost(self) -> Effects:
        """Say that an open round ends here, because another one or no session came after it."""
        match self.phase:
            case Computing(round_) | Answering(round_):
                yield Emit(outcomes.RoundAborted(self.task, round_, sa2.AbortReason.RESTARTED))

    def _rest(self) -> Effects:
        """Leave the open round; stop what it computes. Learning goes on."""
        if isinstance(self._slot(), Pending):
            yield events.Stop()
        if not isinstance(self.phase, Learning):
            self.phase = Resting()

    def _leave(self, now: float) -> Effects:
        busy = isinstance(self.phase, Learning) or isinstance(self._slot(), Pending)
        self.phase = Gone()
        if busy:
            yield events.Stop()
        for effect in self._core.handle(sa2.Abandoned(), now):
            if isinstance(effect, sa2.Persist | sa2.Keep | sa2.Forget):
                yield effect


def _round_of(result: bytes) -> int | None:
    """Return the number in a RoundResult: sid[32], r u32, .. (docs/protocol.md, section 7)."""
    return _RESULT_HEAD.unpack_from(result)[0] if len(result) >= _RESULT_HEAD.size else None
