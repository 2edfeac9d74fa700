"""One epoch at the aggregator as far as it came, and how each of its stages ends (section 8).

Rules:
- a course holds everything that the epoch's later steps depend on; what of it must outlive the
  process is in the records that its effects name (9.8), and `server_restore` reads them back;
- the record of a step comes before what the step sends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import IllegalInputError, MalformedError, RangeError
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.blame import found_faulty
from dreamshare_crypto.secagg.events import (
    AbortReason,
    EndReason,
    EpochOver,
    Opened,
    Persist,
    Record,
    RecordKind,
    RoundAbandoned,
    Send,
    ServerEffect,
    Stage,
    Summed,
)
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.open_round import OpenRound, open_round
from dreamshare_crypto.secagg.round_messages import RoundAbort, RoundResult, RoundStart
from dreamshare_crypto.secagg.server_collecting import Collecting
from dreamshare_crypto.secagg.server_phases import ServerStage, owed_to_all
from dreamshare_crypto.secagg.server_records import (
    AskedRecord,
    DoneRecord,
    MovedRecord,
    OverRecord,
    RoundRecord,
    Standing,
)
from dreamshare_crypto.secagg.server_round import Agreeing, Unmasking
from dreamshare_crypto.secagg.server_setup import Advertising, Cohort, Delivering, Seeding, Sharing

RESENDS = 3
"""How often a starving request is sent again (section 8)."""

MISSES = 2
"""A device that missed this many rounds of an epoch is left out of the rest (13.1)."""

Effects = tuple[ServerEffect, ...]


class Course:
    """The epoch.

    Attributes:
        offer: what was offered.
        candidates: whom it was offered to.
        stage: what is waited for, None between rounds and outside the epoch.
        stage_ends: until when, Unix seconds.
        cohort: who was ready, None before.
        active: roster indices that the next round is open to.
        missed: how many rounds each of them missed.
        gone: devices that are not waited for.
        next_round: number of the next round.
        unmerged: a round whose result is stored and was not handed over by this process.
        ended: whether the epoch is over.
    """

    def __init__(
        self,
        identity: Identity,
        entropy: Entropy,
        offer: EpochOffer,
        candidates: Iterable[bytes],
        threads: int,
    ) -> None:
        self.offer = offer
        self.candidates = tuple(candidates)
        self.stage: ServerStage | None = None
        self.stage_ends = float(offer.ends)
        self.cohort: Cohort | None = None
        self.active: frozenset[int] = frozenset()
        self.missed: Counter[int] = Counter()
        self.gone: set[bytes] = set()
        self.next_round = 0
        self.unmerged: tuple[Unmasking, Send, Summed] | None = None
        self.ended = False
        self._identity = identity
        self._entropy = entropy
        self._threads = threads

    @property
    def rounds_left(self) -> int:
        """How many rounds can still be opened."""
        return 0 if self.ended else self.offer.rounds - self.next_round

    # ---- stages ----------------------------------------------------------------------------------

    def enter(self, stage: ServerStage, ends: float) -> None:
        """Wait for something else, until `ends`."""
        self.stage = stage
        self.stage_ends = ends

    def rest(self) -> None:
        """Wait for nothing."""
        self.stage = None
        self.stage_ends = float(self.offer.ends)

    def begin(self, now: float) -> Effects:
        """Make the offer."""
        self.enter(
            Advertising(self._identity, self.offer, self.candidates),
            now + self.offer.deadlines.setup_s,
        )
        body = self.offer.encode()
        return (
            Persist(Record(RecordKind.SERVER_EPOCH, body), sync=False),
            Persist(AskedRecord(self.candidates).record()),
            Send(Stage.OFFER, body, self.candidates),
        )

    def advance(self, now: float, *, late: bool = False) -> Effects:
        """Leave every stage that is settled; `late` leaves the present one as it is."""
        effects: list[ServerEffect] = []
        if isinstance(self.stage, Collecting):
            overdue = self.stage.closed  # shards had their time
            effects += self.stage.wanting(close=late)
            if late and self.stage.owing and not overdue:
                self.stage_ends = now + self.stage.round.reveal_s
                return tuple(effects)
            if late:
                self.stage.lose_all()
        while self.stage is not None and (late or self.stage.settled):
            effects += self._leave(self.stage, now)
            late = False
        return tuple(effects)

    def _leave(self, stage: ServerStage, now: float) -> Effects:
        match stage:
            case Advertising() | Seeding() | Sharing():
                following = stage.next(self.gone)
                if following is None:
                    unseeded = isinstance(stage, Seeding)
                    return self.end(EndReason.UNSEEDED if unseeded else EndReason.TOO_FEW)
                self.enter(following, now + self.offer.deadlines.setup_s)
                moved = MovedRecord(stage.ACCEPTS).record()
                return (Persist(moved), *owed_to_all(following))
            case Delivering():
                return self._get_ready(stage)
            case Collecting():
                return self._fix(stage, now)
            case Agreeing():
                unmasking = stage.next(self.gone)
                if unmasking is None:
                    return self._give_up(AbortReason.NO_QUORUM)
                self.enter(unmasking, now + stage.round.reveal_s)
                agreed = Record(RecordKind.SERVER_AGREED, unmasking.agree_set)
                return (Persist(agreed), *owed_to_all(unmasking))
            case Unmasking():
                return self._unmask(stage, now)

    def _get_ready(self, stage: Delivering) -> Effects:
        cohort = stage.next()
        if cohort is None:
            return self.end(EndReason.TOO_FEW)
        self.settle(cohort)
        return (Persist(MovedRecord(stage.ACCEPTS).record()), cohort.ready())

    def settle(self, cohort: Cohort) -> None:
        """The set-up is through."""
        self.cohort, self.active = cohort, cohort.reachable(cohort.members)
        self.rest()

    # ---- rounds ----------------------------------------------------------------------------------

    def open(self, event: Opened, now: float) -> Effects:
        """Open the next round.

        Raises:
            IllegalInputError: there is no session, or a round is open.
            ParameterError: the epoch's offer has no such encoding or times.
        """
        if self.cohort is None or self.stage is not None:
            raise IllegalInputError("a round is opened in a ready session when no other is open")
        number, active = self.next_round, self.active
        round_ = open_round(
            self._identity, self.cohort, number, active, event, self._entropy, now, self._threads
        )
        body = round_.start.encode()
        self.collect(round_)
        return (
            Persist(RoundRecord(round(1000 * event.reveal_s), body).record()),
            Send(Stage.ROUND_START, body, round_.ids(active)),
            *self.advance(now),
        )

    def collect(self, round_: OpenRound) -> None:
        """A round is open."""
        self.unmerged = None
        self.next_round = round_.start.round + 1
        self.enter(Collecting(round_, self.gone), float(round_.start.deadline))

    def open_again(self, start: RoundStart, reveal_s: float) -> OpenRound:
        """Return a round that an earlier process opened."""
        if self.cohort is None:
            raise IllegalInputError("a round without a session")
        return OpenRound(
            self._identity, self.cohort, start, start.context(), reveal_s, self._threads
        )

    def fix(self, stage: Collecting) -> Agreeing | Unmasking | None:
        """Return what follows when nobody's vector is waited for any more (7.3)."""
        self.missed.update(stage.round.start.active - stage.survivors)
        return stage.next(self.gone)

    def _fix(self, stage: Collecting, now: float) -> Effects:
        following = self.fix(stage)
        if following is None:
            return self._give_up(AbortReason.TOO_FEW_INPUTS)
        self.enter(following, now + stage.round.reveal_s)
        total = stage.keep()
        kept = () if total is None else (Persist(total.record(), sync=False),)
        fixed = Record(RecordKind.SERVER_FIXED, following.fixed.encode())
        return (*kept, Persist(fixed), *owed_to_all(following))

    def _unmask(self, stage: Unmasking, now: float) -> Effects:
        if stage.pass_deadline(RESENDS):
            self.stage_ends = now + stage.round.reveal_s
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
        self.rest()
        done = self._done(stage.round.start.round, None, True, result)
        to = stage.round.ids(stage.round.start.active)
        return (*done, Send(Stage.ROUND_RESULT, result.encode(), to), summed, *self.after_round())

    def _give_up(self, reason: AbortReason) -> Effects:
        return (*self._abort(reason), *self.after_round())

    def _abort(self, reason: AbortReason) -> Effects:
        """End the open round without a result; nothing when none is open."""
        stage = self.stage
        if not isinstance(stage, Collecting | Agreeing | Unmasking):
            return ()
        start, abort = stage.round.start, stage.round.abort(reason)
        answered = isinstance(stage, Unmasking)
        self.rest()
        return (
            *self._done(start.round, reason, answered, abort),
            Send(Stage.ROUND_ABORT, abort.encode(), stage.round.ids(start.active)),
            RoundAbandoned(start.round, reason, answered),
        )

    def _done(
        self,
        number: int,
        reason: AbortReason | None,
        answered: bool,
        message: RoundResult | RoundAbort,
    ) -> Effects:
        """Tell who was found faulty in the round that ends (11.3), and record its end."""
        if self.cohort is None:
            return ()
        blame, ids = self.cohort.blame, self.cohort.session.ids
        faults = found_faulty(blame, ids, self.offer.epoch, number)
        missed = {i: count for i, count in self.missed.items() if i in self.active}
        self.active = self.cohort.reachable(
            frozenset(i for i in self.active if missed.get(i, 0) < MISSES and i not in blame.faulty)
        )
        standing = Standing(self.active, missed, blame.marked, blame.faulty)
        done = DoneRecord(number, reason, answered, standing, message.encode())
        return (*faults, Persist(done.record()))

    def cancel(self) -> Effects:
        """Give the open round up, where one is."""
        aborted = self._abort(AbortReason.CANCELLED)
        return (*aborted, *self.after_round()) if aborted else ()

    def hand_over(self) -> Effects:
        """Return what a stored result says, where no earlier process is known to have."""
        unmerged, self.unmerged = self.unmerged, None
        return () if unmerged is None else unmerged[1:]

    @staticmethod
    def published(stage: Unmasking, message: bytes) -> tuple[Send, Summed]:
        """Return a stored result and its sum, from the stored answers.

        Raises:
            RangeError, MalformedError: they do not give the sum that was published.
        """
        obstacle = stage.finish()
        result, summed = stage.sum() if obstacle is None else (None, None)
        if result is None or summed is None or result.encode() != message:
            raise MalformedError("a result of other answers than those that are stored")
        to = stage.round.ids(stage.round.start.active)
        return Send(Stage.ROUND_RESULT, message, to), summed

    def after_round(self) -> Effects:
        """End the epoch when no round can follow."""
        if self.cohort is None or len(self.active) < self.cohort.session.derived.a_min:
            return self.end(EndReason.TOO_FEW)
        if not self.rounds_left:
            return self.end(EndReason.EXHAUSTED)
        return ()

    def end(self, reason: EndReason) -> Effects:
        """End the epoch; an open round is given up."""
        aborted = self._abort(AbortReason.CANCELLED)
        self.rest()
        self.ended = True
        return (*aborted, Persist(OverRecord(reason).record(), sync=False), EpochOver(reason))
