"""A device after a restart: the phase that its journal ends in, and what the crash cut off (9.6).

Rules:
- what was journalled may have been sent, so it counts as sent, and is sent again byte for byte;
- what was not journalled never left, so it may be done anew;
- erasure that the crash cut off is carried out first;
- a journal that contradicts itself, is behind its anchor (9.7), or whose keys are gone, ends the
  session (J1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dreamshare_crypto.aead import NONCE_BYTES, open_box
from dreamshare_crypto.errors import CryptoError, RefusalCode
from dreamshare_crypto.secagg.device import Device, Step, end_epoch
from dreamshare_crypto.secagg.epoch_messages import Roster
from dreamshare_crypto.secagg.events import (
    ClientEffect,
    EndReason,
    Forget,
    Record,
    Refuse,
    Send,
    Stage,
)
from dreamshare_crypto.secagg.joining import (
    erase_seed,
    make_rostered,
    make_shared,
    with_peer_keys,
)
from dreamshare_crypto.secagg.journal import EpochRecords, RoundRecords, read_last_epoch
from dreamshare_crypto.secagg.phases import (
    Advertised,
    Agreed,
    Answered,
    Commitment,
    Committed,
    Done,
    Idle,
    Live,
    Membership,
    Ready,
    Sent,
)
from dreamshare_crypto.secagg.records import (
    SEED_SLOT,
    AnswerRecord,
    EpochRecord,
    RosterRecord,
    SessionRecord,
)
from dreamshare_crypto.secagg.refusals import EpochRefused
from dreamshare_crypto.secagg.rollback import Numbers, check_numbers
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.rounds import agree_of, make_agree, move_chain
from dreamshare_crypto.secagg.schedule import EpochKeys
from dreamshare_crypto.secagg.session import Session
from dreamshare_crypto.secagg.survivor_messages import Survivors
from dreamshare_crypto.secagg.vault import CHAIN_SLOT, Vault
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import OUTSIDE


def restore_phase(
    device: Device,
    records: Sequence[Record],
    slots: Mapping[str, Secret],
    numbers: Numbers | None = None,
) -> Step:
    """Return the phase after the last complete record and the effects that are still owed.

    Args:
        device: the restarted device.
        records: its journal, oldest first.
        slots: what its key slots hold.
        numbers: of the journal and its anchor (9.7); None where no anchor is kept.

    Raises:
        MalformedError: the journal's last EPOCH record cannot be read.
    """
    try:
        journal = read_last_epoch(records)
        if journal is not None:
            if numbers is not None:
                check_numbers(numbers)
            return _restore_epoch(device, journal, slots)
    except CryptoError as error:
        return _rolled_back(records, str(error))
    left = (slot for slot in (SEED_SLOT, CHAIN_SLOT) if slot in slots)
    return Step(Idle(), tuple(Forget(slot) for slot in left))


def _rolled_back(records: Sequence[Record], text: str) -> Step:
    """J1: nothing can be said for sure, so the session ends and its keys go."""
    last = next(r for r in reversed(records) if r.kind is EpochRecord.KIND)
    ending = end_epoch(EpochRecord.decode(last.body).offer, EndReason.ROLLED_BACK)
    return Step(Idle(), (Refuse(RefusalCode.J1, None, text), *ending))


def _restore_epoch(device: Device, journal: EpochRecords, slots: Mapping[str, Secret]) -> Step:
    _require(journal.epoch.offer.task == device.task, "task")
    if journal.roster is None:
        return _restore_advertised(device, journal.epoch, slots)
    session = _session(journal.epoch, journal.roster)
    _require(device.identity.id in session.index_of, "identity")
    own = session.index_of[device.identity.id]
    if journal.seeded is not None:
        session = session.with_seed(journal.seeded.seed)
    if journal.session is None:
        return _restore_rostered(device, journal, session, slots)
    return _restore_member(device, journal, journal.session, session, own, slots)


def _restore_advertised(device: Device, epoch: EpochRecord, slots: Mapping[str, Secret]) -> Step:
    keys = _seed(device, epoch, slots)
    phase = Advertised(epoch.offer, keys.offer_hash, keys, epoch.advertise)
    return Step(phase, (Send(Stage.ADVERTISE, epoch.advertise),))


def _restore_rostered(
    device: Device,
    journal: EpochRecords,
    session: Session,
    slots: Mapping[str, Secret],
) -> Step:
    advertise = journal.epoch.advertise
    phase = make_rostered(device, session, _seed(device, journal.epoch, slots), advertise)
    if journal.sid is None:
        return Step(phase, () if phase.reveal is None else (Send(Stage.REVEAL, phase.reveal),))
    _require(journal.sid.session == session.sid, "session id")
    keyed = with_peer_keys(session, phase.own, advertise, journal.sid.peer_keys)
    shared = make_shared(device, phase, keyed, journal.sid.peer_keys)
    return Step(shared, (Send(Stage.SHARES, shared.shares),))


def _restore_member(
    device: Device,
    journal: EpochRecords,
    ready: SessionRecord,
    session: Session,
    own: int,
    slots: Mapping[str, Secret],
) -> Step:
    _require(journal.sid is not None and CHAIN_SLOT in slots, "chain")
    _require((ready.session, ready.n, ready.x) == (session.sid, session.n, own + 1), "session")
    peer_keys = b"" if journal.sid is None else journal.sid.peer_keys
    advertise = journal.epoch.advertise
    member = Membership(
        session=with_peer_keys(session, own, advertise, peer_keys),
        own=own,
        vault=Vault.restore(session.sid, ready.sealed, slots[CHAIN_SLOT]),
        advertise=advertise,
        delivered=ready.delivered,
        ready=ready.ready,
    )
    owed = () if journal.seed_erased else erase_seed(session.offer.epoch)
    if journal.round is None:
        return Step(Ready(member), (*owed, Send(Stage.READY, ready.ready)))
    step = _restore_round(device, member, journal.round)
    return Step(step.phase, (*owed, *step.effects))


def _restore_round(device: Device, member: Membership, written: RoundRecords) -> Step:
    commit = written.commit
    start = RoundStart.decode(commit.start, member.session.n)
    _require(start.context() == commit.context, "round context")
    commitment = Commitment(start, commit.context, commit.base_hash)
    over = written.answer is not None or written.closed
    left_behind = not over and member.vault.position > start.round
    member, moved = move_chain(member, start.round + 1 if over else start.round)
    if written.closed or left_behind:
        # Left behind: the COMMIT of a later round was not synced when the chain had moved (9.1).
        return Step(Done(member, commitment), moved)
    phase, reply = _open_phase(device, member, commitment, written)
    return Step(phase, (*moved, *reply))


def _open_phase(
    device: Device, member: Membership, commitment: Commitment, written: RoundRecords
) -> tuple[Live, tuple[ClientEffect, ...]]:
    if written.vector is None:
        return Committed(member, commitment, computing=False), ()
    masked = written.vector.message
    if written.agree is None:
        if written.answer is not None:
            return _answered_at_once(member, commitment, masked, written.answer)
        return Sent(member, commitment, masked), (Send(Stage.MASKED_INPUT, masked),)
    _require(not member.session.bounded, "agreement")
    survivors = Survivors.decode(written.agree.survivors, member.session.n)
    agree = make_agree(device, member, survivors)
    if written.answer is None:
        agreed = Agreed(member, commitment, masked, survivors, agree)
        return agreed, agree_of(agree)
    response = written.answer.response
    answered = Answered(member, commitment, masked, survivors, agree, response)
    return answered, (Send(Stage.UNMASK_RESPONSE, response),)


def _answered_at_once(
    member: Membership, commitment: Commitment, masked: bytes, answer: AnswerRecord
) -> tuple[Answered, tuple[ClientEffect, ...]]:
    """Bounded mode: the answer is the first that is written after the vector (7.5)."""
    _require(member.session.bounded, "agreement")
    survivors = Survivors.decode(answer.survivors, member.session.n)
    phase = Answered(member, commitment, masked, survivors, None, answer.response)
    return phase, (Send(Stage.UNMASK_RESPONSE, answer.response),)


def _session(epoch: EpochRecord, record: RosterRecord) -> Session:
    session = Session.of(epoch.offer, Roster.decode(record.roster))
    _require(session.roster_digest == record.roster_digest, "roster")
    return session


def _seed(device: Device, epoch: EpochRecord, slots: Mapping[str, Secret]) -> EpochKeys:
    _require(SEED_SLOT in slots, "seed")
    offer_hash = epoch.offer.digest()
    sealed, nonce = epoch.sealed_seed, bytes(NONCE_BYTES)
    seed = open_box(slots[SEED_SLOT], nonce, sealed, offer_hash, OUTSIDE)
    return EpochKeys(Secret(seed, "epoch seed"), offer_hash, device.identity.id)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise EpochRefused(RefusalCode.J1, f"the journal's {what} is missing or not its own")
