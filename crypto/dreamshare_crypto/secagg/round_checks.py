"""What a device refuses in a round: rows S, U, Q and K of docs/protocol.md section 10.

Rules:
- one function a row or part of a row, so that a reader finds the row and a test can take it out;
- a check looks and raises, and changes nothing; `check_start` and `check_survivors` fix the order;
- everything is compared with what the device itself computed or committed to.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

from dreamshare_crypto.encoding import Params
from dreamshare_crypto.errors import AuthenticationError, MalformedError, RefusalCode
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import Derived, Mode
from dreamshare_crypto.keys import verify_signature
from dreamshare_crypto.noise import noise_fault, sensitivity
from dreamshare_crypto.parallel import SIGNATURES_A_THREAD, each
from dreamshare_crypto.secagg.epoch_checks import CLOCK_SKEW_S
from dreamshare_crypto.secagg.events import Payload
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.phases import Commitment
from dreamshare_crypto.secagg.refusals import Contradicted, Ignored, RoundRefused
from dreamshare_crypto.secagg.round_messages import RoundResult, RoundStart
from dreamshare_crypto.secagg.session import Session
from dreamshare_crypto.secagg.survivor_messages import Agree, AgreeSet, Survivors


def check_session(named: bytes, session: Session) -> None:
    """M2: the message belongs to this session."""
    if named != session.sid:
        raise AuthenticationError("the message belongs to another session")


# ---- RoundStart ----------------------------------------------------------------------------------


def check_start_same(start: RoundStart, accepted: RoundStart) -> None:
    """S2: a round has one content; `accepted` is what this device committed to for it."""
    if start.statement() != accepted.statement():
        raise Contradicted(
            RefusalCode.S2,
            "two contents of one round",
            accepted.encode(),
            start.encode(),
            start.round,
        )


def check_start_round(start: RoundStart, least: int, offer: EpochOffer, now: float) -> None:
    """S1: a round above every committed one, within the epoch, and not too late."""
    if not least <= start.round < offer.rounds:
        raise RoundRefused(
            RefusalCode.S1,
            f"round {start.round}; {least} to {offer.rounds - 1} are left",
            start.round,
        )
    if now > start.deadline:
        raise RoundRefused(RefusalCode.S1, "the deadline of the round is past", start.round)


def check_start_own(start: RoundStart, own: int) -> None:
    """S3: the device itself is active."""
    if own not in start.active:
        raise RoundRefused(RefusalCode.S3, "this device is not active in the round", start.round)


def check_start_active(start: RoundStart, derived: Derived) -> None:
    """S4: at least A_min devices are active."""
    if len(start.active) < derived.a_min:
        raise RoundRefused(
            RefusalCode.S4, f"{len(start.active)} active; {derived.a_min} needed", start.round
        )


def check_start_holders(start: RoundStart, session: Session, own: int) -> None:
    """S4, profile K: at least t of the own neighbours are active; in C, A_min says more."""
    active = start.active.intersection(session.graph.neighbours(own))
    if session.regular and len(active) < session.derived.t:
        raise RoundRefused(
            RefusalCode.S4,
            f"{len(active)} of the own neighbours active; {session.derived.t} needed",
            start.round,
        )


def check_start_payload(start: RoundStart, payload: Payload) -> None:
    """S5: the plan that came along is the one that the round is bound to."""
    if payload.hash != start.payload_hash:
        raise RoundRefused(RefusalCode.S5, "the plan does not hash to Hb", start.round)


def check_start_params(start: RoundStart, offer: EpochOffer, derived: Derived) -> None:
    """S5: the encoding is a step's of the template, clips at most; the thresholds are one's own."""
    params = start.params
    own = (derived.a_min, derived.u_min, derived.d)
    if (params.a_min, params.u_min, params.d) != own:
        raise RoundRefused(
            RefusalCode.S5, "A_min, u_min or d are not what this device computes", start.round
        )
    if not any(matches_template(params, step.params) for step in offer.template):
        raise RoundRefused(RefusalCode.S5, "no step of the offer has this encoding", start.round)


def matches_template(params: Params, template: Params) -> bool:
    """Whether `params` is the template's but for smaller clips and what only a round can say."""
    if len(params.fields) != len(template.fields):
        return False
    pairs = tuple(zip(params.fields, template.fields, strict=True))
    if any(field.clip > most.clip for field, most in pairs):
        return False
    raised = replace(
        params,
        fields=tuple(replace(field, clip=most.clip) for field, most in pairs),
        a_min=template.a_min,
        u_min=template.u_min,
        d=template.d,
        round_nonce=template.round_nonce,
    )
    return raised == template


def check_start_noise(start: RoundStart, derived: Derived) -> None:
    """S5: the crowd that this device computes is as large as the noise assumes (12.6)."""
    fault = noise_fault(start.params, derived)
    if fault:
        raise RoundRefused(RefusalCode.S5, fault, start.round)


def check_start_budget(start: RoundStart, memory: Memory, floor: Floor, now: float) -> None:
    """S6: with this round, what was spent in the period stays within the budget (12.7).

    Looked at when a round is accepted and again before its vector leaves, as 13.3 is.
    """
    if math.isinf(floor.epsilon):
        return
    charge = sensitivity(start.params)
    spent = memory.ledger.epsilon(now - floor.budget_s, floor.delta, (charge,))
    if spent > floor.epsilon:
        raise RoundRefused(
            RefusalCode.S6,
            f"the privacy budget is spent: this round would bring epsilon to {spent:.3g}, "
            f"{floor.epsilon:.3g} is allowed in {floor.budget_s / 86_400:g} days",
            start.round,
        )


def check_start_deadline(start: RoundStart, offer: EpochOffer, now: float) -> None:
    """S5: vectors are not collected for longer than the offer's maximum."""
    if start.deadline > now + offer.deadlines.collect_s + CLOCK_SKEW_S:
        raise RoundRefused(RefusalCode.S5, "the deadline exceeds the offer's maximum", start.round)


def check_start_permitted(start: RoundStart, payload: Payload) -> None:
    """S6 (or S5): the caller's own policy on algorithms, steps, configs and budgets."""
    if payload.refusal is not None:
        raise RoundRefused(payload.refusal, "the device's policy forbids the plan", start.round)


def check_start_monotone(start: RoundStart, last: RoundStart | None, floor: Floor) -> None:
    """S7: no device that was left out comes back within the epoch (13.1)."""
    if floor.monotone_active and last is not None and not start.active <= last.active:
        raise RoundRefused(RefusalCode.S7, "a device that was left out is back", start.round)


def check_start_change(
    active: frozenset[bytes], last: frozenset[bytes], floor: Floor, number: int
) -> None:
    """S7: A_r is the A of the last answered round, or differs from it by m devices or more (13.4).

    Devices by id, because the last answered round may be another epoch's; `last` is empty before
    the task's first answer.
    """
    moved = len(active ^ last) if last else 0
    if 0 < moved < floor.least_change:
        raise RoundRefused(
            RefusalCode.S7,
            f"{moved} active devices changed; none or {floor.least_change} at least may",
            number,
        )


def check_start_fresh(start: RoundStart, base_hash: bytes, memory: Memory, floor: Floor) -> None:
    """S7: the payload was not answered before, and not too often with other draws (13.3).

    Looked at when a round is accepted and again before its vector and its answer leave: sessions of
    two tasks run side by side, and either may answer the payload first.
    """
    if memory.has_answered(start.payload_hash):
        raise RoundRefused(RefusalCode.S7, "this payload was answered already", start.round)
    if memory.draws(base_hash) >= floor.draws:
        raise RoundRefused(
            RefusalCode.S7, f"this payload was answered {floor.draws} times", start.round
        )


# ---- Survivors -----------------------------------------------------------------------------------


def check_survivors_round(survivors: Survivors, commitment: Commitment | None) -> None:
    """U1: the own vector is in this round, and in this context."""
    if commitment is None or survivors.round != commitment.start.round:
        raise Ignored(RefusalCode.U1, "no own vector was sent in that round")
    if survivors.context != commitment.context:
        raise Ignored(RefusalCode.U1, "the survivors are those of another round context")


def check_survivors_within(survivors: Survivors, start: RoundStart, own: int) -> None:
    """U2: survivors were active, and the device itself is one."""
    if not survivors.survivors <= start.active:
        raise RoundRefused(RefusalCode.U2, "a survivor was not active", start.round)
    if own not in survivors.survivors:
        raise RoundRefused(RefusalCode.U2, "the own vector is not in the sum", start.round)


def check_survivors_enough(survivors: Survivors, derived: Derived) -> None:
    """U3: at least u_min and at least t survivors."""
    if len(survivors.survivors) < max(derived.u_min, derived.t):
        raise RoundRefused(
            RefusalCode.U3,
            f"{len(survivors.survivors)} survivors; {max(derived.u_min, derived.t)} needed",
            survivors.round,
        )


def check_survivors_dropped(
    survivors: Survivors, start: RoundStart, derived: Derived, floor: Floor
) -> None:
    """B1: bounded mode is allowed here, and at most d active devices are declared dropped (7.5)."""
    if Mode.BOUNDED not in floor.modes:
        raise RoundRefused(RefusalCode.B1, "bounded mode is not allowed here", start.round)
    dropped = len(start.active - survivors.survivors)
    if dropped > derived.d:
        raise RoundRefused(
            RefusalCode.B1,
            f"{dropped} active devices dropped; {derived.d} at most",
            start.round,
        )


def check_survivors_holders(survivors: Survivors, session: Session, own: int) -> None:
    """U3, profile K: at least t of the own neighbours survived; in C, u_min says more."""
    left = survivors.survivors.intersection(session.graph.neighbours(own))
    if session.regular and len(left) < session.derived.t:
        raise RoundRefused(
            RefusalCode.U3,
            f"{len(left)} of the own neighbours survived; {session.derived.t} needed",
            survivors.round,
        )


def check_survivors_same(survivors: Survivors, accepted: Survivors) -> None:
    """U4: the device stands by one set of survivors in a round."""
    if survivors.survivors != accepted.survivors:
        raise Contradicted(
            RefusalCode.U4,
            "two sets of survivors in one round",
            accepted.encode(),
            survivors.encode(),
            survivors.round,
        )


# ---- AgreeSet ------------------------------------------------------------------------------------


def check_quorum_round(agree_set: AgreeSet, commitment: Commitment) -> None:
    """U1: the quorum speaks of the round that the device is in."""
    if agree_set.round != commitment.start.round:
        raise Ignored(RefusalCode.U1, "a quorum of another round")


def check_quorum(agree_set: AgreeSet, own: Survivors, session: Session, threads: int = 1) -> None:
    """Q1: exactly q distinct members of the own U_r signed the own (sid, r, rctx, U_r).

    A quorum for anything else (Q2) shows as signatures that do not hold here; at most `threads`
    check them.
    """
    signers = [index for index, _ in agree_set.signatures]
    if len(signers) != session.derived.q:
        raise RoundRefused(
            RefusalCode.Q1, f"{len(signers)} signatures; exactly {session.derived.q}", own.round
        )
    if any(a >= b for a, b in pairwise(signers)):
        raise RoundRefused(RefusalCode.Q1, "signers do not ascend", own.round)
    if not session.graph.witnesses.issuperset(signers):
        raise RoundRefused(RefusalCode.Q1, "a signer is no witness", own.round)
    if not own.survivors.issuperset(signers):
        raise RoundRefused(RefusalCode.Q1, "a signer is not among the survivors", own.round)
    statement = Agree(own.session, own.round, own.context, own.n, own.survivors).statement()

    def check(signed: tuple[int, bytes]) -> None:
        index, signature = signed
        signer = session.entry(index).certificate.ik
        verify_signature(signer, Agree.LABEL, statement, signature)

    try:
        each(agree_set.signatures, check, threads, SIGNATURES_A_THREAD)
    except (AuthenticationError, MalformedError):
        raise RoundRefused(
            RefusalCode.Q1, "a signature is not for the own round and survivors", own.round
        ) from None


# ---- RoundResult ---------------------------------------------------------------------------------


def check_result_context(result: RoundResult, start: RoundStart, context: bytes) -> None:
    """K1: the result is that of the round this device took part in."""
    if result.context != context:
        raise Contradicted(
            RefusalCode.K1,
            "a result of another round context",
            start.encode(),
            result.encode(),
            result.round,
        )


def check_result_survivors(result: RoundResult, accepted: Survivors | None) -> None:
    """K1: the result is over the survivors that this device agreed to."""
    if accepted is not None and result.survivors != accepted.survivors:
        raise Contradicted(
            RefusalCode.K1,
            "a result over other survivors",
            accepted.encode(),
            result.encode(),
            result.round,
        )
