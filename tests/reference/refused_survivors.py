"""Survivors, AgreeSets and results that must be refused (rows M, U, Q1 and K1)."""

from __future__ import annotations

from collections.abc import Iterable

from tests.reference import messages
from tests.reference.lanes import words_bytes
from tests.reference.refused import JOINED, Case, Stage, changed
from tests.reference.refused_starts import AGREED, ANSWERED, CLOSED, EVERYBODY, STARTED, start
from tests.reference.session import round_context
from tests.reference.values import bitmap, u32


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
    other = round_context(stage.sid, 0, bitmap(EVERYBODY - {9}, 10), run.payload[0], params.hash())
    return [
        Case("survivors_before_vector", "U1", "survivors", run.survivors, STARTED, computes=False),
        Case("survivors_never_started", "U1", "survivors", run.survivors),
        Case(
            "survivors_other_rctx",
            "U1",
            "survivors",
            survivors(stage, EVERYBODY, rctx=other),
            STARTED,
        ),
        Case(
            "survivors_not_subset", "U2", "survivors", survivors(stage, EVERYBODY, rctx=other), nine
        ),
        Case("survivors_without_me", "U2", "survivors", survivors(stage, EVERYBODY - {0}), STARTED),
        Case("survivors_below_umin", "U3", "survivors", survivors(stage, range(7)), STARTED),
        Case("survivors_below_t", "U3", "survivors", survivors(stage, range(5)), STARTED),
        Case("survivors_second_bitmap", "U4", "survivors", survivors(stage, range(9)), AGREED),
        Case(
            "survivors_second_after_answer", "U4", "survivors", survivors(stage, range(9)), ANSWERED
        ),
        Case("survivors_after_result", "U1", "survivors", run.survivors, CLOSED),
        Case("survivors_after_next_start", "U1", "survivors", run.survivors, (*STARTED, "start:1")),
        Case("survivors_bad_signature", "M2", "survivors", changed(run.survivors, -5), STARTED),
        Case(
            "survivors_signed_by_device",
            "M2",
            "survivors",
            survivors(stage, EVERYBODY, key=stage.device_key(1)),
            STARTED,
        ),
        Case("survivors_spare_bits", "M1", "survivors", changed(run.survivors, 69, 0x80), STARTED),
        Case(
            "survivors_short_bitmap",
            "M1",
            "survivors",
            run.survivors[:69] + run.survivors[70:],
            STARTED,
        ),
        Case(
            "survivors_two_bitmaps",
            "M1",
            "survivors",
            run.survivors[:70] + run.survivors[68:],
            STARTED,
        ),
    ]


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
        return messages.round_result(sid, 0, rctx, bitmap(U, 10), words, run.weight_sum, key)

    abort = messages.round_abort(sid, 0, run.rctx, 3, key)
    return [
        Case("result_other_U", "K1", "round_result", result(range(9), run.rctx), ANSWERED),
        Case("result_other_rctx", "K1", "round_result", result(EVERYBODY, bytes(32)), ANSWERED),
        Case("result_bad_signature", "M2", "round_result", changed(run.result, -1), ANSWERED),
        Case("result_trailing_byte", "M1", "round_result", run.result + b"\0", ANSWERED),
        Case("abort_bad_signature", "M2", "round_abort", changed(abort, -1), ANSWERED),
        Case(
            "abort_unknown_reason",
            "M1",
            "round_abort",
            messages.round_abort(sid, 0, run.rctx, 99, key),
            ANSWERED,
        ),
        Case("abort_short", "M1", "round_abort", abort[:-2], ANSWERED),
    ]
