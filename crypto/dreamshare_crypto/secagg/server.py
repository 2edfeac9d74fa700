"""The aggregator's side of one epoch, sans IO: inputs go in, effects come out.

Rules:
- one object is one epoch of one task: set-up, then rounds one at a time (docs/protocol.md 8);
- a stage ends when everybody asked has answered or is gone, or at its deadline;
- the survivors of a round are durable before anybody is told, and never change (7.3, 9.8);
- unmasking that starves asks the same again up to three times, then the round is given up;
- a device found faulty (11.3) is told of with the end of the round and is in no later one;
- the epoch ends when its rounds or its life are used up, or fewer than A_min members are left;
- what it was told and did is in its records: `restore` goes on after the last of them (9.8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Self

from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import (
    AuthenticationError,
    IllegalInputError,
    MalformedError,
    RefusalCode,
)
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import (
    Abandoned,
    Acknowledging,
    Arrived,
    Cancelled,
    EndReason,
    Left,
    Opened,
    Passed,
    Persist,
    Record,
    Returned,
    ServerEffect,
    ServerInput,
    SessionReady,
    Stage,
    Ticked,
)
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.refusals import Ignored
from dreamshare_crypto.secagg.round_messages import InputReceipt, RoundStart
from dreamshare_crypto.secagg.server_collecting import Collecting
from dreamshare_crypto.secagg.server_course import Course
from dreamshare_crypto.secagg.server_phases import ServerPhase, ServerStage, owed_to, phase_of
from dreamshare_crypto.secagg.server_records import TookRecord
from dreamshare_crypto.secagg.server_restore import MICROSECONDS, restore_course
from dreamshare_crypto.secagg.server_round import Agreeing, Unmasking
from dreamshare_crypto.secagg.shard_messages import Claim, Collect, FromShard, Granted, ToShard
from dreamshare_crypto.secagg.terms import EpochTerms


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
        offer = terms.offer(identity, task, epoch, now)
        self._course = Course(identity, entropy, offer, candidates, threads)
        self._started = False
        self.counts: Counter[RefusalCode] = Counter()

    @classmethod
    def restore(
        cls,
        identity: Identity,
        records: Sequence[Record],
        entropy: Entropy,
        now: float,
        threads: int = 1,
    ) -> Self | None:
        """Return the machine as it was after the last of a task's records; then call `resume`.

        Args:
            identity: the aggregator's, of the certificate that the epoch was offered under.
            records: of the task's journal, oldest first; those of other kinds are passed over.
            entropy: source of round nonces.
            now: Unix seconds.
            threads: as for a new one.

        Returns:
            None where no epoch was running, or its life is over.

        Raises:
            NotRestorable: the records are damaged, incomplete or contradict each other.
        """
        course = restore_course(identity, records, entropy, now, threads)
        if course is None:
            return None
        server = cls.__new__(cls)
        server._course = course
        server._started = True
        server.counts = Counter()
        return server

    # ---- what the owner may look at --------------------------------------------------------------

    @property
    def phase(self) -> ServerPhase:
        """Where the epoch stands."""
        if self._course.ended:
            return ServerPhase.ENDED
        if self._course.stage is not None:
            return phase_of(self._course.stage)
        return ServerPhase.READY if self._started else ServerPhase.IDLE

    @property
    def deadline(self) -> float | None:
        """When `Ticked` is wanted, Unix seconds."""
        if self._course.ended or not self._started:
            return None
        return min(self._course.stage_ends, float(self._course.offer.ends))

    @property
    def offer(self) -> EpochOffer:
        """What the epoch was offered with."""
        return self._course.offer

    @property
    def ready(self) -> SessionReady | None:
        """Who could run rounds when the set-up was through; None before."""
        cohort = self._course.cohort
        return None if cohort is None else cohort.ready()

    @property
    def epoch(self) -> int:
        """The epoch's number."""
        return self._course.offer.epoch

    @property
    def session(self) -> bytes | None:
        """The session id, once the set-up is through."""
        cohort = self._course.cohort
        return None if cohort is None else cohort.session.sid

    @property
    def least_active(self) -> int:
        """How many devices a round takes: A_min, in bounded mode all active ones but d (4.5)."""
        if self._course.cohort is None:
            return 0
        derived = self._course.cohort.session.derived
        return max(derived.a_min, len(self._course.active) - derived.d if derived.d else 0)

    @property
    def members(self) -> tuple[bytes, ...]:
        """Ids of the devices that the next round is open to, in roster order."""
        if self._course.cohort is None:
            return ()
        ids = self._course.cohort.session.ids
        return tuple(ids[index] for index in sorted(self._course.active))

    @property
    def rounds_left(self) -> int:
        """How many rounds can still be opened in this epoch."""
        return self._course.rounds_left

    @property
    def open_round(self) -> RoundStart | None:
        """The round that is open, or whose stored result `resume` hands over."""
        unmerged = self._course.unmerged
        match self._course.stage if unmerged is None else unmerged[0]:
            case Collecting() | Agreeing() | Unmasking() as stage:
                return stage.round.start
        return None

    @property
    def collecting(self) -> Collect | None:
        """What shards have to know of the round whose vectors come in; None while none do."""
        stage = self._course.stage
        return stage.order() if isinstance(stage, Collecting) else None

    # ---- inputs ----------------------------------------------------------------------------------

    def start(self, now: float) -> tuple[ServerEffect, ...]:
        """Make the offer."""
        if self._started:
            raise IllegalInputError("an epoch starts once")
        self._started = True
        return self._course.begin(now)

    def resume(self, now: float) -> tuple[ServerEffect, ...]:
        """Go on after `restore`; devices are asked again as they come (`Returned`).

        A result that was stored comes out once more, as its `Summed`: it is the owner's to say
        whether that was used already.
        """
        course = self._course
        if course.unmerged is not None:
            handed = course.hand_over()
            return (*handed, *(self._expire(now) or course.after_round()))
        expired = self._expire(now)
        if expired or course.stage is not None:
            return expired or course.advance(now)
        return course.after_round()

    def _expire(self, now: float) -> tuple[ServerEffect, ...]:
        over = now >= self._course.offer.ends
        return self._course.end(EndReason.EXPIRED) if over else ()

    def handle(self, event: ServerInput, now: float) -> tuple[ServerEffect, ...]:
        """Take one input and return its effects, to be carried out in order.

        Raises:
            IllegalInputError: before `start`, or `Opened` where no round can be opened.
            ParameterError: `Opened` with an encoding or times that the epoch's offer does not have.
        """
        course = self._course
        if not self._started:
            raise IllegalInputError("the epoch was not started")
        if course.ended:
            if isinstance(event, Opened):
                raise IllegalInputError("the epoch is over; open rounds in the next one")
            return ()
        if isinstance(event, Acknowledging):
            return self._keep_sum()
        expired = self._expire(now)
        if expired:
            return expired
        match event:
            case Arrived():
                return self._arrive(event, now)
            case Opened():
                return course.open(event, now)
            case Left(device):
                course.gone.add(device)
                return self._pass_over(device, now)
            case Passed(device):
                return self._pass_over(device, now)
            case Returned(device):
                return self._welcome(device)
            case Cancelled():
                return course.cancel()
            case Ticked():
                return course.advance(now, late=now >= course.stage_ends)
            case FromShard():
                return self._hear_shard(event, now)
            case Abandoned():
                return course.end(EndReason.CLOSED)

    def _arrive(self, event: Arrived, now: float) -> tuple[ServerEffect, ...]:
        stage = self._course.stage
        if stage is None or event.stage is not stage.ACCEPTS or event.device not in stage.box.asked:
            return ()  # too late, too early or not asked: unread (7.3)
        known = event.device in stage.box
        head: list[ServerEffect] = []
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
        else:
            if evidence is not None:
                head.append(evidence)
            if not known and event.device in stage.box:
                head.append(Persist(_took(stage, event, now), sync=False))
        return (*head, *self._course.advance(now))

    def _hear_shard(self, event: FromShard, now: float) -> tuple[ServerEffect, ...]:
        stage = self._course.stage
        message, effects = event.message, list[ServerEffect]()
        if isinstance(message, Claim):
            return self._claim(event.shard, message, now)
        if isinstance(stage, Collecting):
            lost = stage.hear(event.shard, message)
            effects += [send for device in sorted(lost) for send in stage.owed(device)]
        return (*effects, *self._course.advance(now))

    def _claim(self, shard: int, claim: Claim, now: float) -> tuple[ServerEffect, ...]:
        """Answer a claim, whatever it is worth: the shard holds a vector until it hears."""
        stage, effects, granted = self._course.stage, list[ServerEffect](), False
        try:
            receipt = InputReceipt.decode(claim.receipt)
        except MalformedError:
            self.counts[RefusalCode.M1] += 1
            return ()
        if isinstance(stage, Collecting) and claim.device in stage.box.asked:
            try:
                granted, evidence = stage.claim(shard, claim)
            except AuthenticationError:
                self.counts[RefusalCode.M2] += 1
            except Ignored as refusal:
                self.counts[refusal.code] += 1
            else:
                effects += [] if evidence is None else [evidence]
        if granted:
            at = round(now * MICROSECONDS)
            took = TookRecord(Stage.MASKED_INPUT, claim.device, at, claim.receipt)
            effects.append(Persist(took.record(), sync=False))
        answer = Granted(receipt.session, receipt.round, claim.device, granted)
        return (*effects, ToShard(shard, answer), *self._course.advance(now))

    def _keep_sum(self) -> tuple[ServerEffect, ...]:
        """Store what the vectors that came add up to, where any came since it last was."""
        stage = self._course.stage
        total = stage.keep() if isinstance(stage, Collecting) else None
        return () if total is None else (Persist(total.record()),)

    def _pass_over(self, device: bytes, now: float) -> tuple[ServerEffect, ...]:
        """Stop waiting for a device in the present stage."""
        if self._course.stage is None:
            return ()
        self._course.stage.box.leave(device)
        return self._course.advance(now)

    def _welcome(self, device: bytes) -> tuple[ServerEffect, ...]:
        """A device is back, perhaps without its memory: send again what it has not answered."""
        self._course.gone.discard(device)
        stage = self._course.stage
        if stage is None:
            return ()
        stage.box.come_back(device)
        return owed_to(stage, device)


def _took(stage: ServerStage, event: Arrived, now: float) -> Record:
    """Return the record of a message that was taken: of a vector, what was signed of it."""
    body = event.body
    if isinstance(stage, Collecting):
        body = stage.box.answer_of(event.device).encode()
    return TookRecord(event.stage, event.device, round(now * MICROSECONDS), body).record()
