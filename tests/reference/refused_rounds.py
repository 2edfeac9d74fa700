"""RoundStart, Survivors, AgreeSet and results that must be refused (rows M, S, U, Q, K)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace

from tests.reference import messages
from tests.reference.cast import NOW
from tests.reference.lanes import words_bytes
from tests.reference.refused import JOINED, Case, Stage, changed
from tests.reference.session import round_context
from tests.reference.values import H, bitmap, u32

STARTED = (*JOINED, "start:0")
AGREED = (*STARTED, "survivors:0")
ANSWERED = (*AGREED, "agree_set:0")
CLOSED = (*ANSWERED, "result:0")
EVERYBODY = frozenset(range(10))


def start(
    stage: Stage,
    *,
    r: int = 0,
    active: Iterable[int] = EVERYBODY,
    params: bytes | None = None,
    Hb: bytes | None = None,
    deadline: int = NOW + 100,
    sid: bytes | None = None,
    key: bytes | None = None,
) -> bytes:
    """A RoundStart that is honest except where told."""
    run = stage.rounds[min(r, 1)]
    return messages.round_start(
        stage.sid if sid is None else sid,
        r,
        bitmap(active, 10),
        run.payload[0] if Hb is None else Hb,
        run.params.encoded() if params is None else params,
        deadline,
        stage.key if key is None else key,
    )


def _params(stage: Stage, **changes: object) -> bytes:
    return replace(stage.rounds[0].params, **changes).encoded()  # type: ignore[arg-type]


def _field(stage: Stage, **changes: object) -> bytes:
    first, *others = stage.rounds[0].params.fields
    return _params(stage, fields=(replace(first, **changes), *others))  # type: ignore[arg-type]


def _float_at(stage: Stage, value: bytes) -> bytes:
    """Params whose first clip is these eight bytes: mode, count, dims, q, L, b come before."""
    data = stage.rounds[0].params.encoded()
    at = 1 + 4 + 8 + 3
    return data[:at] + value + data[at + 8 :]


def start_cases(stage: Stage) -> list[Case]:
    run, honest = stage.rounds[0], stage.rounds[0].start
    other = H("sa2/v1/payload", b"another plan")
    nine = EVERYBODY - {9}
    raw = {
        "start_bad_signature": ("M2", changed(honest, -1)),
        "start_signed_by_device": ("M2", start(stage, key=stage.device_key(3))),
        "start_other_sid": ("M2", start(stage, sid=changed(stage.sid, 0))),
        "start_trailing_byte": ("M1", honest + b"\0"),
        "start_short": ("M1", honest[:-1]),
        "start_empty": ("M1", b""),
        "start_spare_bits": ("M1", changed(honest, 37, 0x04)),
        "start_clip_nan": ("M1", start(stage, params=_float_at(stage, struct.pack("<Q", 0x7FF8 << 48)))),
        "start_clip_infinite": ("M1", start(stage, params=_float_at(stage, struct.pack("<Q", 0x7FF0 << 48)))),
        "start_clip_negative_zero": ("M1", start(stage, params=_float_at(stage, struct.pack("<Q", 1 << 63)))),
        "start_params_trailing": ("M1", start(stage, params=run.params.encoded() + b"\0")),
        "start_params_oversize": ("M1", honest[:70] + u32(2**32 - 1) + honest[74:]),
        "start_round_R": ("S1", start(stage, r=3)),
        "start_deadline_past": ("S1", start(stage, deadline=NOW - 1)),
        "start_without_me": ("S3", start(stage, active=EVERYBODY - {0})),
        "start_small_active": ("S4", start(stage, active=range(8))),
        "start_q_changed": ("S5", start(stage, params=_field(stage, q=15))),
        "start_lanes_changed": ("S5", start(stage, params=_field(stage, b=17))),
        "start_dims_changed": ("S5", start(stage, params=_field(stage, dims=6))),
        "start_clip_above_template": ("S5", start(stage, params=_field(stage, C=1.5))),
        "start_umin_lowered": ("S5", start(stage, params=_params(stage, u_min=7))),
        "start_amin_lowered": ("S5", start(stage, params=_params(stage, A_min=8))),
        "start_weight_cap_changed": ("S5", start(stage, params=_params(stage, W=8.0))),
        "start_nmax_changed": ("S5", start(stage, params=_params(stage, n_max=11))),
        "start_mode_bounded": ("S5", start(stage, params=_params(stage, mode=2))),
        "start_l2_clip_added": ("S5", start(stage, params=_params(stage, l2_clip=1.0))),
        "start_deadline_beyond_offer": ("S5", start(stage, deadline=NOW + 3_000)),
    }
    cases = [Case(name, code, "round_start", data) for name, (code, data) in raw.items()]
    cases += [
        Case("start_wrong_payload", "S5", "round_start", honest, payload=other),
        Case("start_two_contents", "S2", "round_start", start(stage, active=nine), STARTED),
        Case("start_old_round", "S1", "round_start", honest, (*CLOSED, "start:1")),
        Case(
            "start_regained_device",
            "S7",
            "round_start",
            start(stage, r=1),
            (*JOINED, ("round_start", start(stage, active=nine))),
        ),
        Case(
            "start_same_payload_after_answer",
            "S7",
            "round_start",
            start(stage, r=1, Hb=run.payload[0], params=run.params.encoded()),
            CLOSED,
            payload=run.payload[0],
        ),
        Case("start_before_deliver", "M2", "round_start", honest, ("offer", "roster")),
    ]
    return cases


def survivors(
    stage: Stage,
    U: Iterable[int],
    *,
    rctx: bytes | None = None,
    r: int = 0,
    key: bytes | None = None,
) -> bytes:
    return messages.survivors(
        stage.sid,
        r,
        stage.rounds[0].rctx if rctx is None else rctx,
        bitmap(U, 10),
        stage.key if key is None else key,
    )


def survivor_cases(stage: Stage) -> list[Case]:
    run = stage.rounds[0]
    nine = (*JOINED, ("round_start", start(stage, active=EVERYBODY - {9})))
    params = run.params
    other = round_context(
        stage.sid, 0, bitmap(EVERYBODY - {9}, 10), run.payload[0], params.hash()
    )
    found = [
        Case("survivors_before_vector", "U1", "survivors", run.survivors, STARTED, computes=False),
        Case("survivors_never_started", "U1", "survivors", run.survivors),
        Case("survivors_other_rctx", "U1", "survivors", survivors(stage, EVERYBODY, rctx=other), STARTED),
        Case("survivors_not_subset", "U2", "survivors", survivors(stage, EVERYBODY, rctx=other), nine),
        Case("survivors_without_me", "U2", "survivors", survivors(stage, EVERYBODY - {0}), STARTED),
        Case("survivors_below_umin", "U3", "survivors", survivors(stage, range(7)), STARTED),
        Case("survivors_below_t", "U3", "survivors", survivors(stage, range(5)), STARTED),
        Case("survivors_second_bitmap", "U4", "survivors", survivors(stage, range(9)), AGREED),
        Case("survivors_second_after_answer", "U4", "survivors", survivors(stage, range(9)), ANSWERED),
        Case("survivors_after_result", "U1", "survivors", run.survivors, CLOSED),
        Case("survivors_after_next_start", "U1", "survivors", run.survivors, (*STARTED, "start:1")),
        Case("survivors_bad_signature", "M2", "survivors", changed(run.survivors, -5), STARTED),
        Case("survivors_signed_by_device", "M2", "survivors", survivors(stage, EVERYBODY, key=stage.device_key(1)), STARTED),
        Case("survivors_spare_bits", "M1", "survivors", changed(run.survivors, 69, 0x80), STARTED),
        Case("survivors_short_bitmap", "M1", "survivors", run.survivors[:69] + run.survivors[70:], STARTED),
        Case("survivors_two_bitmaps", "M1", "survivors", run.survivors[:70] + run.survivors[68:], STARTED),
    ]  # fmt: skip
    return found


def agree_set(
    stage: Stage,
    signers: Iterable[int],
    *,
    U: Iterable[int] = EVERYBODY,
    rctx: bytes | None = None,
    r: int = 0,
    by: dict[int, int] | None = None,
) -> bytes:
    """Signers in the order given; `by` says whose key signs for an index instead of its own."""
    items = []
    for v in signers:
        key = stage.device_key((by or {}).get(v, v))
        signed = messages.agree(
            stage.sid, r, stage.rounds[0].rctx if rctx is None else rctx, bitmap(U, 10), key
        )
        items.append(u32(v) + signed[-64:])
    return stage.sid + u32(r) + u32(len(items)) + b"".join(items)


def agree_cases(stage: Stage) -> list[Case]:
    honest = stage.rounds[0].agree_set
    eight = (*STARTED, ("survivors", survivors(stage, range(8))))
    six = range(6)
    found = {
        "agree_five_of_six": ("Q1", agree_set(stage, range(5))),
        "agree_seven": ("Q1", agree_set(stage, range(7))),
        "agree_none": ("Q1", agree_set(stage, ())),
        "agree_repeated_signer": ("Q1", agree_set(stage, (0, 1, 2, 3, 4, 4))),
        "agree_unsorted": ("Q1", agree_set(stage, (1, 0, 2, 3, 4, 5))),
        "agree_stranger": ("Q1", agree_set(stage, (0, 1, 2, 3, 4, 10), by={10: 5})),
        "agree_other_key": ("Q1", agree_set(stage, six, by={5: 6})),
        "agree_for_other_U": ("Q1", agree_set(stage, six, U=range(9))),
        "agree_for_other_rctx": ("Q1", agree_set(stage, six, rctx=bytes(32))),
        "agree_bad_signature": ("Q1", changed(honest, -1)),
        "agree_trailing_byte": ("M1", honest + b"\0"),
        "agree_count_beyond_bytes": ("M1", honest[:36] + u32(7) + honest[40:]),
    }
    cases = [Case(name, code, "agree_set", data, AGREED) for name, (code, data) in found.items()]
    outside = agree_set(stage, (0, 1, 2, 3, 4, 9), U=range(8))
    cases.append(Case("agree_signer_outside_U", "Q1", "agree_set", outside, eight))
    return cases


def result_cases(stage: Stage) -> list[Case]:
    run, sid, key = stage.rounds[0], stage.sid, stage.key
    words = words_bytes(run.total)

    def result(U: Iterable[int], rctx: bytes) -> bytes:
        return messages.round_result(
            sid, 0, rctx, bitmap(U, 10), words, run.weight_sum, key
        )

    abort = messages.round_abort(sid, 0, run.rctx, 3, key)
    return [
        Case("result_other_U", "K1", "round_result", result(range(9), run.rctx), ANSWERED),
        Case("result_other_rctx", "K1", "round_result", result(EVERYBODY, bytes(32)), ANSWERED),
        Case("result_bad_signature", "M2", "round_result", changed(run.result, -1), ANSWERED),
        Case("result_trailing_byte", "M1", "round_result", run.result + b"\0", ANSWERED),
        Case("abort_bad_signature", "M2", "round_abort", changed(abort, -1), ANSWERED),
        Case("abort_unknown_reason", "M1", "round_abort", messages.round_abort(sid, 0, run.rctx, 99, key), ANSWERED),
        Case("abort_short", "M1", "round_abort", abort[:-2], ANSWERED),
    ]  # fmt: skip


