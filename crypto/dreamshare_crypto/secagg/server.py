"""The aggregator's side of one epoch, sans IO: inputs go in, effects come out.

Rules:
- one object is one epoch of one task: set-up, then rounds one at a time (docs/protocol.md 8);
- a stage ends when everybody asked has answered or is gone, or at its deadline;
- the survivors of a round are durable before anybody is told, and never change (7.3, 9.8);
- unmasking that starves asks the same again up to three times, then the round is given up;
- a device found faulty (11.3) is told of with the end of the round and is in no later one;
- the epoch ends when its rounds or its life are used up, or fewer than A_min members are left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import (
    AuthenticationError,
    IllegalInputError,
    MalformedError,
    RangeError,
    RefusalCode,
)
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.blame import found_faulty
from dreamshare_crypto.secagg.events import (
    Abandoned,
    AbortReason,
    Arrived,
    Cancelled,
    EndReason,
    EpochOver,
    Left,
    Opened,
    Passed,
    Persist,
    Record,
    RecordKind,
    Returned,
    RoundAbandoned,
    Send,
    ServerEffect,
    ServerInput,
    SessionReady,
    Stage,
    Ticked,
)
from dreamshare_crypto.secagg.open_round import open_round
from dreamshare_crypto.secagg.refusals import Ignored
from dreamshare_crypto.secagg.server_phases import (
    ServerPhase,
    ServerStage,
    owed_to,
    owed_to_all,
    phase_of,
)
from dreamshare_crypto.secagg.server_round import Agreeing, Collecting, Unmasking
from dreamshare_crypto.secagg.server_setup import Advertising, Cohort, Delivering, Seeding, Sharing
from dreamshare_crypto.secagg.terms import EpochTerms

RESENDS = 3
"""How often a starving request is sent again (section 8)."""

MISSES = 2
"""A device that missed this many rounds of an epoch is left out of the rest (13.1)."""


class SecaggServer:
    """The aggregator's machine for one epoch.

    Attributes:
        counts: how many messages were dropped, by the code that the drop is counted under.
    """

    def __init__(
        self,
        identity: Identity,
        task: bytes,
        epoch: int,
        terms: EpochTerms,
        entropy: Entropy,
        candidates: Sequence[bytes],
        now: float,
        threads: int = 1,
    ) -> None:
        """Prepare an epoch.

        Args:
            identity: the aggregator's.
            task: the task's id, 16 bytes.
            epoch: higher than any epoch ever offered for the task.
            terms: what the owner chooses.
            entropy: source of round nonces.
            candidates: ids of the devices that are offered the epoch.
            now: Unix seconds; the epoch's life begins here.
            threads: how many an input may be handled with; results do not depend on it.
        """
        self._identity = identity
        self._entropy = entropy
        self._threads = threads
        self._offer = terms.offer(identity, task, epoch, now)
        self._candidates = tuple(candidates)
        self._stage: ServerStage | None = None
        self._stage_ends = float(self._offer.ends)
        self._cohort: Cohort | None = None
        self._active: frozenset[int] = frozenset()
        self._missed: Counter[int] = Counter()
        self._gone: set[bytes] = set()
        self._next_round = 0
        self._started = False
        self._ended = False
        self.counts: Counter[RefusalCode] = Counter()

    # ---- what the owner may look at --------------------------------------------------------------

    @property
    def phase(self) -> ServerPhase:
        """Where the epoch stands."""
        if self._ended:
            return ServerPhase.ENDED
        if self._stage is not None:
            return phase_of(self._stage)
        return ServerPhase.READY if self._started else ServerPhase.IDLE

    @property
    def deadline(self) -> float | None:
        """When `Ticked` is wanted, Unix seconds."""
        if self._ended or not self._started:
            return None
        return min(self._stage_ends, float(self._offer.ends))

    @property
    def epoch(self) -> int:
        """The epoch's number."""
        return self._offer.epoch

    @property
    def session(self) -> bytes | None:
        """The session id, once the set-up is through."""
        return None if self._cohort is None else self._cohort.session.sid

    @property
    def least_active(self) -> int:
        """How many devices a round takes: A_min, in bounded mode all active ones but d (4.5)."""
        if self._cohort is None:
            return 0
        derived = self._cohort.session.derived
        return max(derived.a_min, len(self._active) - derived.d if derived.d else 0)

    @property
    def members(self) -> tuple[bytes, ...]:
        """Ids of the devices that the next round is open to, in roster order."""
        if self._cohort is None:
            return ()
        return tuple(self._cohort.session.ids[index] for index in sorted(self._active))

    @property
    def rounds_left(self) -> int:
        """How many rounds can still be opened in this epoch."""
        return 0 if self._ended else self._offer.rounds - self._next_round

    # ---- inputs ----------------------------------------------------------------------------------

    def start(self, now: float) -> tuple[ServerEffect, ...]:
        """Make the offer."""
        if self._started:
            raise IllegalInputError("an epoch starts once")
        self._started = True
        stage = Advertising(self._identity, self._offer, self._candidates)
        self._enter(stage, now + self._offer.deadlines.setup_s)
        body = self._offer.encode()
        return (
            Persist(Record(RecordKind.SERVER_EPOCH, body)),
            Send(Stage.OFFER, body, self._candidates),
        )

    def handle(self, event: ServerInput, now: float) -> tuple[ServerEffect, ...]:
        """Take one input and return its effects, to be carried out in order.

        Raises:
            IllegalInputError: before `start`, or `Opened` where no round can be opened.
            ParameterError: `Opened` with an encoding or times that the epoch's offer does not have.
        """
        if not self._started:
            raise IllegalInputError("the epoch was not started")
        if self._ended:
            if isinstance(event, Opened):
                raise IllegalInputError("the epoch is over; open rounds in the next one")
            return ()
        if now >= self._offer.ends:
            return self._end(EndReason.EXPIRED)
        match event:
            case Arrived():
                return self._arrive(event, now)
            case Opened():
                return self._open(event, now)
            case Left(device):
                self._gone.add(device)
                return self._pass_over(device, now)
            case Passed(device):
                return self._pass_over(device, now)
            case Returned(device):
                return self._welcome(device)
            case Cancelled():
                return self._cancel()
            case Ticked():
                return self._advance(now, late=now >= self._stage_ends)
            case Abandoned():
                return self._end(EndReason.CLOSED)

    def _arrive(self, event: Arrived, now: float) -> tuple[ServerEffect, ...]:
        stage = self._stage
        if stage is None or event.stage is not stage.ACCEPTS or event.device not in stage.box.asked:
            return ()  # too late, too early or not asked: unread (7.3)
        try:
            evidence = stage.take(event.device, event.body, now)
        except MalformedError:
            self.counts[RefusalCode.M1] += 1
            return ()
        except AuthenticationError:
            self.counts[RefusalCode.M2] += 1
            return ()
        except Ignored as refusal:
            self.counts[refusal.code] += 1
            evidence = None
        head: tuple[ServerEffect, ...] = () if evidence is None else (evidence,)
        return (*head, *self._advance(now))

    def _pass_over(self, device: bytes, now: float) -> tuple[ServerEffect, ...]:
        """Stop waiting for a device in the present stage."""
        if self._stage is None:
            return ()
        self._stage.box.leave(device)
        return self._advance(now)

    def _welcome(self, device: bytes) -> tuple[ServerEffect, ...]:
        """A device is back, perhaps without its memory: send again what it has not answered."""
        self._gone.discard(device)
        stage = self._stage
        if stage is None:
            return ()
        stage.box.come_back(device)
        return owed_to(stage, device)

    # ---- stages ----------------------------------------------------------------------------------

    def _enter(self, stage: ServerStage, ends: float) -> None:
        self._stage = stage
        self._stage_ends = ends

    def _rest(self) -> None:
        self._stage = None
        self._stage_ends = float(self._offer.ends)

    def _advance(self, now: float, *, late: bool = False) -> tuple[ServerEffect, ...]:
        """Leave every stage that is settled; `late` leaves the present one as it is."""
        effects: list[ServerEffect] = []
        while self._stage is not None and (late or self._stage.settled):
            effects += self._leave_stage(self._stage, now)
            late = False
        return tuple(effects)

    def _leave_stage(self, stage: ServerStage, now: float) -> tuple[ServerEffect, ...]:
        match stage:
            case Advertising() | Seeding() | Sharing():
                following = stage.next(self._gone)
                if following is None:
                    unseeded = isinstance(stage, Seeding)
                    return self._end(EndReason.UNSEEDED if unseeded else EndReason.TOO_FEW)
                self._enter(following, now + self._offer.deadlines.setup_s)
                return owed_to_all(following)
            case Delivering():
                return self._get_ready(stage)
            case Collecting():
                return self._fix(stage, now)
            case Agreeing():
                unmasking = stage.next(self._gone)
                if unmasking is None:
                    return self._give_up(AbortReason.NO_QUORUM)
                self._enter(unmasking, now + stage.round.reveal_s)
                return owed_to_all(unmasking)
            case Unmasking():
                return self._unmask(stage, now)

    def _get_ready(self, stage: Delivering) -> tuple[ServerEffect, ...]:
        cohort = stage.next()
        if cohort is None:
            return self._end(EndReason.TOO_FEW)
        self._cohort, self._active = cohort, cohort.reachable(cohort.members)
        self._rest()
        derived = cohort.session.derived
        return (SessionReady(cohort.session.sid, self.members, derived.crowd, derived.a),)

    # ---- rounds ----------------------------------------------------------------------------------

    def _open(self, event: Opened, now: float) -> tuple[ServerEffect, ...]:
        if self._cohort is None or self._stage is not None:
            raise IllegalInputError("a round is opened in a ready session when no other is open")
        round_ = open_round(
            self._identity,
            self._cohort,
            self._next_round,
            self._active,
            event,
            self._entropy,
            now,
            self._threads,
        )
        self._next_round += 1
        self._enter(Collecting(round_, self._gone), float(round_.start.deadline))
        body = round_.start.encode()
        return (
            Persist(Record(RecordKind.SERVER_ROUND, body)),
            Send(Stage.ROUND_START, body, self.members),
            *self._advance(now),
        )

    def _fix(self, stage: Collecting, now: float) -> tuple[ServerEffect, ...]:
        active = stage.round.start.active
        self._missed.update(active - stage.survivors)
        following = stage.next(self._gone)
        if following is None:
            return self._give_up(AbortReason.TOO_FEW_INPUTS)
        self._enter(following, now + stage.round.reveal_s)
        record = Record(RecordKind.SERVER_FIXED, following.fixed.encode())
        return (Persist(record), *owed_to_all(following))

    def _unmask(self, stage: Unmasking, now: float) -> tuple[ServerEffect, ...]:
        if stage.pass_deadline(RESENDS):
            self._stage_ends = now + stage.round.reveal_s
            return tuple(
                send for device in sorted(stage.box.awaited) for send in stage.owed(device)
            )
        obstacle = stage.finish()
        if obstacle is not None:
            return self._give_up(obstacle)
        try:
            result, summed = stage.sum()
        except RangeError:
            return self._give_up(AbortReason.RANGE)
        self._rest()
        body = result.encode()
        return (
            *self._faults(stage.round.start.round),
            Persist(Record(RecordKind.SERVER_DONE, body)),
            Send(Stage.ROUND_RESULT, body, stage.round.ids(stage.round.start.active)),
            summed,
            *self._after_round(),
        )

    def _give_up(self, reason: AbortReason) -> tuple[ServerEffect, ...]:
        return (*self._abort(reason), *self._after_round())

    def _abort(self, reason: AbortReason) -> tuple[ServerEffect, ...]:
        """End the open round without a result; nothing when none is open."""
        stage = self._stage
        if not isinstance(stage, Collecting | Agreeing | Unmasking):
            return ()
        start, body = stage.round.start, stage.round.abort(reason).encode()
        self._rest()
        return (
            *self._faults(start.round),
            Persist(Record(RecordKind.SERVER_DONE, body)),
            Send(Stage.ROUND_ABORT, body, stage.round.ids(start.active)),
            RoundAbandoned(start.round, reason, answered=isinstance(stage, Unmasking)),
        )

    def _faults(self, number: int) -> tuple[ServerEffect, ...]:
        """Tell who was found faulty in the round that ends (11.3)."""
        if self._cohort is None:
            return ()
        return found_faulty(self._cohort.blame, self._cohort.session.ids, self.epoch, number)

    def _cancel(self) -> tuple[ServerEffect, ...]:
        aborted = self._abort(AbortReason.CANCELLED)
        return (*aborted, *self._after_round()) if aborted else ()

    def _after_round(self) -> tuple[ServerEffect, ...]:
        """Leave out the faulty and who missed too much; end the epoch when no round can follow."""
        cohort = self._cohort
        if cohort is None:
            return self._end(EndReason.TOO_FEW)
        faulty = cohort.blame.faulty
        self._active = cohort.reachable(
            frozenset(i for i in self._active if self._missed[i] < MISSES and i not in faulty)
        )
        if len(self._active) < cohort.session.derived.a_min:
            return self._end(EndReason.TOO_FEW)
        if not self.rounds_left:
            return self._end(EndReason.EXHAUSTED)
        return ()

    def _end(self, reason: EndReason) -> tuple[ServerEffect, ...]:
        aborted = self._abort(AbortReason.CANCELLED)
        self._rest()
        self._ended = True
        return (*aborted, EpochOver(reason))
