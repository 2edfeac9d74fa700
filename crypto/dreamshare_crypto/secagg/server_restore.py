"""The aggregator after a restart: its epoch as it was after the last complete record (9.8).

Rules:
- records are read through the code that took the messages, signatures and all, so that what comes
  out is what was: the same offer, roster, survivors and quorum, to the byte;
- a stage lasts as long again as it did, a round's collecting to the moment that its RoundStart
  names, and long enough to send again what was computed; who was gone is waited for again;
- a stored result whose sum may not have been handed over is handed over again;
- a journal that cannot be read, contradicts itself or is another aggregator's raises: the owner
  says so and opens another epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import CryptoError, MalformedError
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import Record, RecordKind, Stage
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.refusals import Ignored
from dreamshare_crypto.secagg.round_messages import InputReceipt, RoundStart
from dreamshare_crypto.secagg.server_collecting import Collecting
from dreamshare_crypto.secagg.server_course import Course
from dreamshare_crypto.secagg.server_phases import ServerStage
from dreamshare_crypto.secagg.server_records import (
    ROUND,
    SET_UP,
    AskedRecord,
    DoneRecord,
    MovedRecord,
    RoundRecord,
    Standing,
    SumRecord,
    TookRecord,
)
from dreamshare_crypto.secagg.server_round import Agreeing, Unmasking
from dreamshare_crypto.secagg.server_setup import Advertising, Delivering, Seeding, Sharing

MICROSECONDS = 1_000_000
"""In the times of records."""


class NotRestorable(CryptoError):
    """A journal from which no epoch can go on; the text says what is wrong with it."""


def restore_course(
    identity: Identity, records: Sequence[Record], entropy: Entropy, now: float, threads: int
) -> Course | None:
    """Return the epoch that the records end in, or None where there is none to go on with.

    Raises:
        NotRestorable: the records are damaged, incomplete or contradict each other.
    """
    starts = [i for i, r in enumerate(records) if r.kind is RecordKind.SERVER_EPOCH]
    if not starts:
        return None
    last = records[starts[-1] :]
    try:
        offer = EpochOffer.decode(last[0].body)
        if offer.aggregator != identity.certificate:
            raise NotRestorable("the epoch was offered under another certificate")
        offer.verify(identity.certificate.ik)
        reading = _Reading(identity, offer, last[1:], entropy, threads)
        course = reading.course(now)
    except NotRestorable:
        raise
    except CryptoError as error:
        raise NotRestorable(f"the journal does not hold together: {error}") from error
    ended = any(record.kind is RecordKind.SERVER_ENDED for record in last)
    over = ended or now >= offer.ends
    return None if over and course.unmerged is None else course


class _Reading:
    """The records of one epoch, and the epoch that they give."""

    def __init__(
        self,
        identity: Identity,
        offer: EpochOffer,
        records: Sequence[Record],
        entropy: Entropy,
        threads: int,
    ) -> None:
        if not records or records[0].kind is not RecordKind.SERVER_ASKED:
            raise NotRestorable("the journal does not say who was offered the epoch")
        candidates = AskedRecord.decode(records[0].body).candidates
        self._course = Course(identity, entropy, offer, candidates, threads)
        self._identity = identity
        self._set_up = [r for r in records[1:] if r.kind in SET_UP]
        self._done = [r for r in records if r.kind is RecordKind.SERVER_DONE]
        opened = [i for i, r in enumerate(records) if r.kind is RecordKind.SERVER_ROUND]
        rest = records[opened[-1] :] if opened else ()
        self._round = [r for r in rest if r.kind in ROUND or r.kind is RecordKind.SERVER_DONE]

    def course(self, now: float) -> Course:
        """Return the epoch after the last record."""
        course = self._course
        stage = self._read_set_up()
        if stage is not None:
            course.enter(stage, now + course.offer.deadlines.setup_s)
            return course
        done = DoneRecord.decode(self._done[-1].body) if self._done else None
        if done is not None and not self._round:
            self._stand(done.standing, done.round)
        elif self._round:
            self._read_round(now)
        return course

    # ---- set-up ----------------------------------------------------------------------------------

    def _read_set_up(self) -> ServerStage | None:
        """Return the stage that the set-up is in, None when it is through."""
        course = self._course
        ready = any(record.kind is RecordKind.SERVER_READY for record in self._set_up)
        stage: Advertising | Seeding | Sharing | Delivering
        stage = Advertising(self._identity, course.offer, course.candidates)
        for record in self._set_up:
            if record.kind in (RecordKind.SERVER_TOOK, RecordKind.SERVER_BOXES):
                took = TookRecord.decode(record.body)
                if ready and took.stage is Stage.SHARES:
                    continue  # nobody is handed a box any more
                _take(stage, took)
                continue
            moved = MovedRecord.decode(record.body)
            _require(moved.stage is stage.ACCEPTS, "a stage ended that had not begun")
            if isinstance(stage, Delivering):
                cohort = stage.next()
                if cohort is None:
                    raise NotRestorable("a set-up that too few devices were ready in")
                course.settle(cohort)
                return None
            stage = self._after(stage, ready)
        return stage

    def _after(
        self, stage: Advertising | Seeding | Sharing, ready: bool
    ) -> Seeding | Sharing | Delivering:
        if isinstance(stage, Sharing) and ready:
            return stage.handed_out(self._dealers())
        following = stage.next(())
        if following is None:
            raise NotRestorable("a stage of the set-up ended with too few answers")
        return following

    def _dealers(self) -> frozenset[bytes]:
        """Return who was handed boxes, of those who said that they could read them."""
        took = [r for r in self._set_up if r.kind is RecordKind.SERVER_TOOK]
        messages = [TookRecord.decode(record.body) for record in took]
        return frozenset(m.device for m in messages if m.stage is Stage.READY)

    def _stand(self, standing: Standing, number: int) -> None:
        """Go on from what a finished round left behind."""
        course = self._course
        if course.cohort is None:
            raise NotRestorable("a round without a session")
        _require(standing.active <= course.cohort.members, "a round of other devices")
        course.active = standing.active
        course.missed.clear()
        course.missed.update(standing.missed)
        course.cohort.blame.recall(standing.marks, standing.faulty)
        course.next_round = number + 1

    # ---- rounds ----------------------------------------------------------------------------------

    def _read_round(self, now: float) -> None:
        """Go back into the last round that was opened."""
        course = self._course
        if course.cohort is None:
            raise NotRestorable("a round without a session")
        opened = RoundRecord.decode(self._round[0].body)
        start = RoundStart.decode(opened.start, course.cohort.session.n)
        start.verify(self._identity.certificate.ik)
        _require(start.session == course.cohort.session.sid, "a round of another session")
        earlier = [DoneRecord.decode(record.body) for record in self._done]
        before = [done for done in earlier if done.round < start.round]
        ended = [done for done in earlier if done.round == start.round]
        if before:
            self._stand(before[-1].standing, before[-1].round)
        _require(start.active == course.active, "a round of other devices than were left")
        if ended and ended[-1].reason is not None:
            self._stand(ended[-1].standing, start.round)
            return
        round_ = course.open_again(start, opened.reveal_ms / 1000)
        course.collect(round_)  # who has a vector is waited for, also past the time to make one
        course.stage_ends = max(course.stage_ends, now + round_.reveal_s)
        stage = self._follow(now)
        if ended:
            if not isinstance(stage, Unmasking):
                raise NotRestorable("a result without survivors")
            course.rest()
            self._stand(ended[-1].standing, start.round)
            course.unmerged = stage, *course.published(stage, ended[-1].message)

    def _follow(self, now: float) -> Collecting | Agreeing | Unmasking:
        """Take the round's records; return the stage that they end in."""
        course = self._course
        stage = course.stage
        if not isinstance(stage, Collecting):
            raise NotRestorable("a round that was not open")
        stage.restore(self._receipts(), self._sum())
        following: Agreeing | Unmasking | None = None
        for record in self._round[1:]:
            match record.kind:
                case RecordKind.SERVER_FIXED:
                    _require(following is None, "survivors that were fixed twice")
                    following = course.fix(stage)
                    _require(
                        following is not None and following.fixed.encode() == record.body,
                        "other survivors than the vectors that are stored",
                    )
                case RecordKind.SERVER_AGREED:
                    if not isinstance(following, Agreeing):
                        raise NotRestorable("a quorum that nobody was asked for")
                    following = following.next(())
                    _require(
                        following is not None and following.agree_set == record.body,
                        "another quorum than the signatures that are stored",
                    )
                case RecordKind.SERVER_HEARD if following is not None:
                    took = TookRecord.decode(record.body)
                    if took.stage is not Stage.MASKED_INPUT:
                        _take(following, took)
        if following is None:
            return stage
        course.enter(following, now + stage.round.reveal_s)
        return following

    def _receipts(self) -> dict[bytes, InputReceipt]:
        heard = [r for r in self._round if r.kind is RecordKind.SERVER_HEARD]
        took = [TookRecord.decode(record.body) for record in heard]
        return {
            each.device: InputReceipt.decode(each.body)
            for each in took
            if each.stage is Stage.MASKED_INPUT
        }

    def _sum(self) -> SumRecord | None:
        sums = [r for r in self._round if r.kind is RecordKind.SERVER_SUM]
        return SumRecord.decode(sums[-1].body) if sums else None


def _take(stage: ServerStage, took: TookRecord) -> None:
    """Hand a stage a message that it took before."""
    fits = took.stage is stage.ACCEPTS and took.device in stage.box.asked
    _require(fits, f"a {took.stage.name} where none was read")
    try:
        stage.take(took.device, took.body, took.taken_at / MICROSECONDS)
    except Ignored as refusal:
        raise MalformedError(f"a message that would not be taken: {refusal}") from refusal


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise NotRestorable(f"the journal contradicts itself: {otherwise}")
