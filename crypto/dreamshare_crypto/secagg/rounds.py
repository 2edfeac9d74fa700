"""A device's rounds: commit, mask, agree, answer (docs/protocol.md sections 7 and 8).

Rules:
- each function takes the phase that its row of the state table names and returns the next one with
  its effects; a refusal is raised and leaves the phase as it was;
- records go before the messages that they cover; COMMIT and CLOSED need no sync (9.1);
- the chain moves when a round is accepted, answered or closed; what lies behind stays shut (9.3);
- only `_answer` reveals shares, once a round, for one set of survivors: in agreed mode after a
  quorum, in bounded mode at once (7.4 to 7.6).
"""

from __future__ import annotations

from dataclasses import replace

from dreamshare_crypto.encoding import encode_vector, words_to_bytes
from dreamshare_crypto.errors import IllegalInputError, ParameterError, RefusalCode
from dreamshare_crypto.kdf import derive
from dreamshare_crypto.noise import add_noise, device_variance, sensitivity
from dreamshare_crypto.prg import Stream, apply_masks
from dreamshare_crypto.secagg import round_checks
from dreamshare_crypto.secagg.device import Device, Step
from dreamshare_crypto.secagg.events import (
    ClientEffect,
    Compute,
    Computed,
    ComputeFailed,
    Keep,
    Payload,
    Persist,
    Refuse,
    RoundClosed,
    Send,
    Stage,
)
from dreamshare_crypto.secagg.masking import self_mask_key, signed_pair_masks
from dreamshare_crypto.secagg.phases import (
    Agreed,
    Answered,
    Commitment,
    Committed,
    Done,
    Live,
    Membership,
    Sent,
    commitment_of,
)
from dreamshare_crypto.secagg.records import (
    AgreeRecord,
    AnswerRecord,
    ClosedRecord,
    CommitRecord,
    VectorRecord,
)
from dreamshare_crypto.secagg.refusals import Ignored, RoundRefused
from dreamshare_crypto.secagg.round_messages import MaskedInput, RoundAbort, RoundResult, RoundStart
from dreamshare_crypto.secagg.schedule import pair_key
from dreamshare_crypto.secagg.survivor_messages import (
    Agree,
    AgreeSet,
    Survivors,
    UnmaskResponse,
    survivors_hash,
)
from dreamshare_crypto.secagg.vault import CHAIN_SLOT, RoundSecrets
from dreamshare_crypto.secret import Secret

# ---- RoundStart ----------------------------------------------------------------------------------


def take_start(
    device: Device, phase: Live, body: bytes, payload: Payload | None, now: float
) -> Step:
    """READY, DONE or a round that is left behind, RoundStart: rows S (7.2)."""
    if payload is None:
        raise IllegalInputError("a RoundStart is handed over with what its plan hashes to")
    session = phase.member.session
    start = RoundStart.decode(body, session.n)
    round_checks.check_session(start.session, session)
    start.verify(session.offer.aggregator.ik)
    last = commitment_of(phase)
    if last is not None and start.round == last.start.round:
        round_checks.check_start_same(start, last.start)
        return _start_again(phase, start, payload)
    _check_start(device, phase, start, payload, now)
    commitment = Commitment(start, start.context(), payload.base_hash)
    record = CommitRecord(
        session.sid, start.round, commitment.context, commitment.base_hash, start.encode()
    )
    member, moved = move_chain(phase.member, start.round)
    compute = Compute(start.round, start.params, start.payload_hash)
    return Step(
        Committed(member, commitment, computing=True),
        (Persist(record.record(), sync=False), *moved, compute),
    )


def _check_start(
    device: Device, phase: Live, start: RoundStart, payload: Payload, now: float
) -> None:
    member, memory, floor = phase.member, device.memory, device.floor
    offer, derived = member.session.offer, member.session.derived
    last = commitment_of(phase)
    least = max(member.vault.position, 0 if last is None else last.start.round + 1)
    round_checks.check_start_round(start, least, offer, now)
    round_checks.check_start_own(start, member.own)
    round_checks.check_start_active(start, derived)
    round_checks.check_start_holders(start, member.session, member.own)
    round_checks.check_start_monotone(start, None if last is None else last.start, floor)
    if floor.least_change:
        last_active = memory.last_active(device.task)
        round_checks.check_start_change(_ids(member, start), last_active, floor, start.round)
    round_checks.check_start_payload(start, payload)
    round_checks.check_start_params(start, offer, derived)
    round_checks.check_start_deadline(start, offer, now)
    round_checks.check_start_noise(start, derived)
    round_checks.check_start_permitted(start, payload)
    round_checks.check_start_budget(start, memory, floor, now)
    memory.forget(now - floor.memory_s, floor.memory_size)
    memory.ledger.forget(now - floor.budget_s)
    round_checks.check_start_fresh(start, payload.base_hash, memory, floor)


def _ids(member: Membership, start: RoundStart) -> frozenset[bytes]:
    return frozenset(member.session.ids[index] for index in start.active)


def _start_again(phase: Live, start: RoundStart, payload: Payload) -> Step:
    """Answer an exact repeat: the stored reply, or the computation that a restart cut off."""
    match phase:
        case Committed(declined=Refuse() as declined):
            return Step(phase, (declined,))
        case Committed(computing=False):
            round_checks.check_start_payload(start, payload)
            round_checks.check_start_permitted(start, payload)
            compute = Compute(start.round, start.params, start.payload_hash)
            return Step(replace(phase, computing=True), (compute,))
        case Sent() | Agreed() | Answered():
            return Step(phase, (Send(Stage.MASKED_INPUT, phase.masked),))
        case Done():
            raise RoundRefused(RefusalCode.S1, f"round {start.round} is over", start.round)
        case _:
            return Step(phase)


def move_chain(member: Membership, r: int) -> tuple[Membership, tuple[Keep, ...]]:
    """Return the membership that can open round `r` at the earliest, and how to store that."""
    if member.vault.position >= r:
        return member, ()
    vault = member.vault.advance(r)
    return replace(member, vault=vault), (Keep(CHAIN_SLOT, vault.slot()),)


# ---- Computed ------------------------------------------------------------------------------------


def take_update(device: Device, phase: Committed, event: Computed, now: float) -> Step:
    """COMMITTED, Computed: encode, mask and send the vector, row E (7.2); charge it (12.7)."""
    start, suite = phase.commitment.start, phase.member.session.suite
    try:
        _check_fresh(device, phase.commitment)
        round_checks.check_start_budget(start, device.memory, device.floor, now)
    except RoundRefused as refusal:
        return decline(phase, refusal.code, str(refusal))
    try:
        rounding = Stream(_rounding_key(device, start), suite)
        words = encode_vector(start.params, event.fields, event.weight, rounding)
    except ParameterError as error:
        return decline(phase, RefusalCode.E1, str(error))
    if start.params.noise_variance:
        variance = device_variance(start.params, phase.member.session.derived)
        noise = Stream(Secret(device.entropy.draw(32), "noise key"), suite)
        add_noise(words, start.params, variance, noise)
    apply_masks(words, _masks(phase, device.identity.id), suite, device.threads)
    vector = words_to_bytes(words)
    context = phase.commitment.context
    message = MaskedInput(start.session, start.round, context, vector)
    receipt = message.receipt().sign(device.identity.signing)
    masked = replace(message, signature=receipt.signature).encode()
    charge = sensitivity(start.params)
    record = VectorRecord(start.session, start.round, receipt.vector_hash, charge, int(now), masked)
    device.memory.ledger.note(start.session, start.round, charge, now)
    return Step(
        Sent(phase.member, phase.commitment, masked),
        (Persist(record.record()), Send(Stage.MASKED_INPUT, masked)),
    )


def _rounding_key(device: Device, start: RoundStart) -> Secret:
    return derive(device.rounding, device.task, 32, "sa2/v1/rounding", start.payload_hash)


def _masks(phase: Committed, own_id: bytes) -> tuple[tuple[Secret, int], ...]:
    session, start = phase.member.session, phase.commitment.start
    secrets, context = phase.member.vault.open(start.round), phase.commitment.context
    own = pair_key(secrets.p, session.offer_hash, own_id, start.round)
    peers = tuple(
        session.peer(index, start.round)
        for index in session.graph.neighbours(phase.member.own)
        if index in start.active
    )
    self_mask = (self_mask_key(secrets.s, context, own_id), 1)
    return (self_mask, *signed_pair_masks(own, own_id, peers, context))


def take_failure(phase: Committed, event: ComputeFailed) -> Step:
    """COMMITTED, ComputeFailed: nothing is sent in this round."""
    return decline(phase, event.code, "the device cannot compute this round")


def decline(phase: Committed, code: RefusalCode, text: str) -> Step:
    """Refuse the committed round; a repeat of its RoundStart gets the same refusal."""
    refuse = Refuse(code, phase.commitment.start.round, text)
    return Step(replace(phase, computing=False, declined=refuse), (refuse,))


# ---- Survivors and AgreeSet ----------------------------------------------------------------------


def take_survivors(device: Device, phase: Live, body: bytes, now: float) -> Step:
    """SENT, Survivors: rows U, and B in bounded mode; stand by this set for good.

    Agreed mode signs it and reveals nothing yet (7.4); bounded mode answers it at once (7.5).
    """
    session = phase.member.session
    shown = Survivors.decode(body, session.n)
    round_checks.check_session(shown.session, session)
    shown.verify(session.offer.aggregator.ik)
    match phase:
        case Sent() | Agreed() | Answered():
            round_checks.check_survivors_round(shown, phase.commitment)
        case _:
            raise Ignored(RefusalCode.U1, "no own vector was sent in an open round")
    if isinstance(phase, Agreed | Answered):
        round_checks.check_survivors_same(shown, phase.survivors)
        return Step(phase, _reply_to_survivors(phase))
    start = phase.commitment.start
    round_checks.check_survivors_within(shown, start, phase.member.own)
    round_checks.check_survivors_enough(shown, session.derived)
    round_checks.check_survivors_holders(shown, session, phase.member.own)
    if session.bounded:
        round_checks.check_survivors_dropped(shown, start, session.derived, device.floor)
        return _answer(device, phase, shown, now)
    agree = make_agree(device, phase.member, shown)
    chosen = survivors_hash(shown.survivors, session.n)
    record = AgreeRecord(session.sid, shown.round, chosen, body)
    return Step(
        Agreed(phase.member, phase.commitment, phase.masked, shown, agree),
        (Persist(record.record()), *agree_of(agree)),
    )


def _reply_to_survivors(phase: Agreed | Answered) -> tuple[Send, ...]:
    """Return the stored reply to the survivors that the phase stands by.

    In agreed mode who is no witness has none: it waits for the quorum (7.4).
    """
    if isinstance(phase, Answered) and phase.member.session.bounded:
        return (Send(Stage.UNMASK_RESPONSE, phase.response),)
    return agree_of(phase.agree)


def agree_of(agree: bytes | None) -> tuple[Send, ...]:
    """Return what a witness, or somebody else, says to the survivors that it stands by."""
    return () if agree is None else (Send(Stage.AGREE, agree),)


def make_agree(device: Device, member: Membership, survivors: Survivors) -> bytes | None:
    """Return a witness's signature under one set of survivors; the same bytes every time."""
    if member.own not in member.session.graph.witnesses:
        return None
    agree = Agree(
        survivors.session, survivors.round, survivors.context, survivors.n, survivors.survivors
    )
    return agree.sign(device.identity.signing).encode()


def take_quorum(device: Device, phase: Live, body: bytes, now: float) -> Step:
    """AGREED, AgreeSet: row Q; answer, once the round's secrets are journalled and gone (7.6)."""
    session = phase.member.session
    agree_set = AgreeSet.decode(body)
    round_checks.check_session(agree_set.session, session)
    if session.bounded or not isinstance(phase, Agreed | Answered):
        raise Ignored(RefusalCode.U1, "a quorum, but this device agreed to nothing")
    round_checks.check_quorum_round(agree_set, phase.commitment)
    device.once.quorums.of(
        (phase.survivors.statement(), body),
        lambda: round_checks.check_quorum(agree_set, phase.survivors, session, device.threads),
    )
    if isinstance(phase, Answered):
        return Step(phase, (Send(Stage.UNMASK_RESPONSE, phase.response),))
    return _answer(device, phase, phase.survivors, now)


def _answer(device: Device, phase: Sent | Agreed, survivors: Survivors, now: float) -> Step:
    """Journal the answer, let the round's secrets go, then reveal one share of each (7.6)."""
    _check_fresh(device, phase.commitment)
    start, base_hash = phase.commitment.start, phase.commitment.base_hash
    response = _make_response(device, phase, survivors.survivors).encode()
    agree = phase.agree if isinstance(phase, Agreed) else None
    active = tuple(sorted(_ids(phase.member, start))) if device.floor.least_change else ()
    record = AnswerRecord(
        session=start.session,
        round=start.round,
        survivors_hash=survivors_hash(survivors.survivors, start.n),
        survivors=survivors.encode() if isinstance(phase, Sent) else b"",
        response=response,
        payload_hash=start.payload_hash,
        base_hash=base_hash,
        answered_at=int(now),
        active=active,
    )
    device.memory.note_answer(start.payload_hash, base_hash, now)
    device.memory.note_active(device.task, frozenset(active))
    member, moved = move_chain(phase.member, start.round + 1)
    return Step(
        Answered(member, phase.commitment, phase.masked, survivors, agree, response),
        (Persist(record.record()), *moved, Send(Stage.UNMASK_RESPONSE, response)),
    )


def _check_fresh(device: Device, commitment: Commitment) -> None:
    """S7 again: another task's session may have answered this payload in the meantime (13.3)."""
    round_checks.check_start_fresh(
        commitment.start, commitment.base_hash, device.memory, device.floor
    )


def _make_response(
    device: Device, phase: Sent | Agreed, survivors: frozenset[int]
) -> UnmaskResponse:
    start, member = phase.commitment.start, phase.member
    secrets = member.vault.open(start.round)
    dealers = member.session.dealers(member.own, start.active)
    have: list[int] = []
    shares: list[bytes] = []
    for place, dealer in enumerate(dealers):
        if dealer in secrets.shares:
            have.append(place)
            shares.append(_share(secrets, dealer, alive=dealer in survivors))
    response = UnmaskResponse(
        session=start.session,
        round=start.round,
        survivors_hash=survivors_hash(survivors, start.n),
        listed=len(dealers),
        have=frozenset(have),
        shares=tuple(shares),
    )
    return response.sign(device.identity.signing)


def _share(secrets: RoundSecrets, dealer: int, *, alive: bool) -> bytes:
    """Return the one share that is revealed of a dealer: of s if it survived, else of p (7.6)."""
    p_share, s_share = secrets.shares[dealer]
    return s_share if alive else p_share


# ---- RoundResult and RoundAbort ------------------------------------------------------------------


def take_result(phase: Live, body: bytes) -> Step:
    """SENT, AGREED, ANSWERED, RoundResult: row K; the round is closed."""
    session = phase.member.session
    result = RoundResult.decode(body, session.n)
    round_checks.check_session(result.session, session)
    result.verify(session.offer.aggregator.ik)
    current = _open_round(phase, result.round)
    commitment = current.commitment
    round_checks.check_result_context(result, commitment.start, commitment.context)
    accepted = None if isinstance(current, Sent) else current.survivors
    round_checks.check_result_survivors(result, accepted)
    included = phase.member.own in result.survivors
    return _close(current, RoundClosed(result.round, None, included))


def take_abort(phase: Live, body: bytes) -> Step:
    """SENT, AGREED, ANSWERED, RoundAbort: the round is closed without a result."""
    session = phase.member.session
    abort = RoundAbort.decode(body)
    round_checks.check_session(abort.session, session)
    abort.verify(session.offer.aggregator.ik)
    current = _open_round(phase, abort.round)
    if abort.context != current.commitment.context:
        raise Ignored(RefusalCode.U1, "another round context is given up")
    return _close(current, RoundClosed(abort.round, abort.reason))


def _open_round(phase: Live, r: int) -> Sent | Agreed | Answered:
    if isinstance(phase, Sent | Agreed | Answered) and phase.commitment.start.round == r:
        return phase
    raise Ignored(RefusalCode.U1, "no own vector was sent in that round")


def _close(phase: Sent | Agreed | Answered, closed: RoundClosed) -> Step:
    member, moved = move_chain(phase.member, closed.round + 1)
    record = ClosedRecord(member.session.sid, closed.round)
    effects: tuple[ClientEffect, ...] = (Persist(record.record(), sync=False), *moved, closed)
    return Step(Done(member, phase.commitment), effects)
