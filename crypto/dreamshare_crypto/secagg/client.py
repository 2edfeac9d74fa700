"""The device's side of secure aggregation, sans IO: inputs go in, effects come out.

Rules:
- one object serves one task through all its epochs and rounds (docs/protocol.md section 8);
- a message that cannot be read or proven is dropped and counted (M1, M2); a refusal names its code
  to the aggregator and reveals nothing (10.1); a contradiction that the aggregator signed is kept
  as evidence and ends the epoch;
- whatever is refused leaves the phase as it was;
- after a restart the first call returns what the crash cut off, and `deadline` asks for that call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import AuthenticationError, MalformedError, RefusalCode
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg import joining, rounds
from dreamshare_crypto.secagg.device import Device, Step, end_epoch
from dreamshare_crypto.secagg.events import (
    Abandoned,
    ClientEffect,
    ClientInput,
    Computed,
    ComputeFailed,
    EndReason,
    KeepEvidence,
    Received,
    Record,
    Refuse,
    Stage,
    Ticked,
)
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.once import Once
from dreamshare_crypto.secagg.phases import (
    Advertised,
    Committed,
    Idle,
    Live,
    Phase,
    Rostered,
    Shared,
    offer_of,
    session_of,
)
from dreamshare_crypto.secagg.records import ROUNDING_SLOT
from dreamshare_crypto.secagg.refusals import Contradicted, EpochRefused, Ignored, RoundRefused
from dreamshare_crypto.secagg.restore import restore_phase
from dreamshare_crypto.secagg.rollback import Numbers
from dreamshare_crypto.secagg.schedule import SEED_BYTES
from dreamshare_crypto.secret import Secret


class SecaggClient:
    """One device's machine for one task.

    Attributes:
        phase: where the device stands; see `phases`.
        counts: how many messages were dropped or refused, by code.
    """

    def __init__(
        self,
        identity: Identity,
        task: bytes,
        floor: Floor,
        entropy: Entropy,
        memory: Memory | None = None,
        threads: int = 1,
        once: Once | None = None,
    ) -> None:
        """Begin without an epoch.

        Args:
            identity: the device's keys, certificate and pinned authority.
            task: the task's id, 16 bytes.
            floor: what the device's operator insists on (4.12).
            entropy: source of seeds; SystemEntropy outside tests.
            memory: what the device remembers; all clients of one device share one object.
            threads: how many an input may be handled with; results do not depend on it.
            once: shared by the devices of one process, so that they check public bytes once.
        """
        rounding = Secret(entropy.draw(SEED_BYTES), "rounding key")
        self._device = Device(
            identity,
            task,
            floor,
            entropy,
            Memory() if memory is None else memory,
            rounding,
            threads,
            Once() if once is None else once,
        )
        self._phase: Phase = Idle()
        self._pending: tuple[ClientEffect, ...] = ()
        self._counts: Counter[RefusalCode] = Counter()

    @classmethod
    def restore(
        cls,
        identity: Identity,
        task: bytes,
        floor: Floor,
        entropy: Entropy,
        records: Sequence[Record],
        slots: Mapping[str, Secret],
        memory: Memory | None = None,
        threads: int = 1,
        numbers: Numbers | None = None,
        once: Once | None = None,
    ) -> SecaggClient:
        """Continue where a journal of this task ends (9.6).

        Args:
            records: the journal's complete records, oldest first.
            slots: what the key slots hold.
            memory: the device's memory, if other tasks filled it; this journal is added to it.
            threads, once: as when it was made.
            numbers: of the device's journals and their anchor (9.7); None where no anchor is kept.

        A journal that contradicts itself, is behind its anchor, or whose keys are gone, ends the
        session (J1): the first call then returns EpochOver.
        """
        client = cls(identity, task, floor, entropy, memory, threads, once)
        rounding = slots.get(ROUNDING_SLOT, client._device.rounding)
        client._device = replace(client._device, rounding=rounding)
        client._device.memory.absorb(records)
        step = restore_phase(client._device, records, slots, numbers)
        client._phase, client._pending = step.phase, step.effects
        return client

    @property
    def phase(self) -> Phase:
        """Where the device stands."""
        return self._phase

    @property
    def session(self) -> bytes | None:
        """The session id, once a roster was accepted and, in profile K, its graph seeded."""
        session = session_of(self._phase)
        return None if session is None or not session.settled else session.sid

    @property
    def deadline(self) -> float | None:
        """When `Ticked` is wanted, Unix seconds; 0 when the restart left something to do."""
        if self._pending:
            return 0.0
        offer = offer_of(self._phase)
        return None if offer is None else float(offer.ends)

    @property
    def counts(self) -> Mapping[RefusalCode, int]:
        """Messages that were dropped or refused so far, by code."""
        return dict(self._counts)

    @property
    def memory(self) -> Memory:
        """What the device remembers beyond its sessions."""
        return self._device.memory

    def handle(self, event: ClientInput, now: float) -> tuple[ClientEffect, ...]:
        """Take one input and return its effects, to be carried out in order.

        Args:
            event: what happened.
            now: Unix seconds.

        Raises:
            IllegalInputError: a RoundStart without its payload: the caller's mistake.
        """
        effects = [*self._pending, *self._expire(now)]
        try:
            step = self._step(event, now)
        except MalformedError:
            self._counts[RefusalCode.M1] += 1
        except AuthenticationError:
            self._counts[RefusalCode.M2] += 1
        except Ignored as refusal:
            self._counts[refusal.code] += 1
        except RoundRefused as refusal:
            self._counts[refusal.code] += 1
            effects.append(Refuse(refusal.code, refusal.round, str(refusal)))
        except EpochRefused as refusal:
            self._counts[refusal.code] += 1
            effects += (*self._refuse_epoch(event), Refuse(refusal.code, None, str(refusal)))
        except Contradicted as refusal:
            self._counts[refusal.code] += 1
            effects.append(KeepEvidence(refusal.code, refusal.first, refusal.second))
            effects += self._end(EndReason.EVIDENCE)  # durable before anybody is told
            effects.append(Refuse(refusal.code, refusal.round, str(refusal)))
        else:
            self._phase = step.phase
            effects += step.effects
        self._pending = ()
        return tuple(effects)

    def _expire(self, now: float) -> tuple[ClientEffect, ...]:
        offer = offer_of(self._phase)
        if offer is None or now < offer.ends:
            return ()
        return self._end(EndReason.EXPIRED)

    def _refuse_epoch(self, event: ClientInput) -> tuple[ClientEffect, ...]:
        """End the refused epoch. A refused offer's epoch never began, so another one goes on."""
        if isinstance(event, Received) and event.stage is Stage.OFFER:
            return ()
        return self._end(EndReason.REFUSED)

    def _end(self, reason: EndReason) -> tuple[ClientEffect, ...]:
        effects = end_epoch(offer_of(self._phase), reason)
        self._phase = Idle()
        return effects

    def _step(self, event: ClientInput, now: float) -> Step:
        match event:
            case Received():
                return self._receive(event, now)
            case Computed():
                return self._compute(event, now)
            case ComputeFailed():
                return self._compute(event, now)
            case Ticked():
                return Step(self._phase)
            case Abandoned():
                return Step(Idle(), end_epoch(offer_of(self._phase), EndReason.CLOSED))

    def _compute(self, event: Computed | ComputeFailed, now: float) -> Step:
        """Take the end of a computation; one of a round that was left behind changes nothing."""
        phase = self._phase
        if not (isinstance(phase, Committed) and phase.computing):
            return Step(phase)
        if event.round != phase.commitment.start.round:
            return Step(phase)
        if isinstance(event, ComputeFailed):
            return rounds.take_failure(phase, event)
        return rounds.take_update(self._device, phase, event, now)

    def _receive(self, event: Received, now: float) -> Step:
        device, phase, body = self._device, self._phase, event.body
        session = session_of(phase)
        match event.stage, phase:
            case Stage.OFFER, _:
                return joining.take_offer(device, phase, body, now)
            case Stage.ROSTER, Advertised():
                return joining.take_roster(device, phase, body, now)
            case Stage.ROSTER, _ if session is not None:
                return joining.take_roster_again(session, phase, body)
            case Stage.SEED, Rostered():
                return joining.take_seed(device, phase, body)
            case Stage.SEED, _ if session is not None:
                return joining.take_seed_again(session, phase, body)
            case Stage.PEER_KEYS, Rostered():
                return joining.take_peer_keys(device, phase, body)
            case Stage.PEER_KEYS, Shared():
                return joining.take_peer_keys_again(phase, body)
            case Stage.DELIVER, Shared():
                return joining.take_boxes(device, phase, body)
            case _:
                return self._receive_in_session(event, now)

    def _receive_in_session(self, event: Received, now: float) -> Step:
        device, phase, body = self._device, self._phase, event.body
        if not isinstance(phase, Live):
            raise Ignored(_out_of_place(event.stage), "the session is not ready for rounds")
        match event.stage:
            case Stage.DELIVER:
                return joining.take_boxes_again(phase.member, phase, body)
            case Stage.ROUND_START:
                return rounds.take_start(device, phase, body, event.payload, now)
            case Stage.SURVIVORS:
                return rounds.take_survivors(device, phase, body, now)
            case Stage.AGREE_SET:
                return rounds.take_quorum(device, phase, body, now)
            case Stage.ROUND_RESULT:
                return rounds.take_result(phase, body)
            case Stage.ROUND_ABORT:
                return rounds.take_abort(phase, body)
            case _:
                raise Ignored(_out_of_place(event.stage), "a message that has no place here")


def _out_of_place(stage: Stage) -> RefusalCode:
    """Return what a message that this phase does not know counts as."""
    return RefusalCode.U1 if stage in (Stage.SURVIVORS, Stage.AGREE_SET) else RefusalCode.M2
