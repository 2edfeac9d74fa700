"""RoundStarts that must be refused (rows M and S)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace

from tests.reference import messages
from tests.reference.cast import NOW
from tests.reference.refused import JOINED, Case, Stage, changed
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
        "start_clip_nan": (
            "M1",
            start(stage, params=_float_at(stage, struct.pack("<Q", 0x7FF8 << 48))),
        ),
        "start_clip_infinite": (
            "M1",
            start(stage, params=_float_at(stage, struct.pack("<Q", 0x7FF0 << 48))),
        ),
        "start_clip_negative_zero": (
            "M1",
            start(stage, params=_float_at(stage, struct.pack("<Q", 1 << 63))),
        ),
        "start_params_trailing": ("M1", start(stage, params=run.params.encoded() + b"\0")),
        "start_params_oversize": ("M1", honest[:70] + u32(2**32 - 1) + honest[74:]),
        "start_round_R": ("S1", start(stage, r=3)),
        "start_deadline_past": ("S1", start(stage, deadline=NOW - 1)),
        "start_without_me": ("S3", start(stage, active=EVERYBODY - {0})),
        "start_small_active": ("S4", start(stage, active=range(8))),
        "start_q_changed": ("S5", start(stage, params=_field(stage, q=15))),
        "start_lanes_not_of_12_3": ("M1", start(stage, params=_field(stage, L=2, b=32))),
        "start_lanes_too_narrow": ("M1", start(stage, params=_field(stage, b=17))),
        "start_lanes_beyond_word": ("M1", start(stage, params=_field(stage, b=22))),
        "start_no_lanes": ("M1", start(stage, params=_field(stage, L=0))),
        "start_bits_7": ("M1", start(stage, params=_field(stage, q=7))),
        "start_bits_21": ("M1", start(stage, params=_field(stage, q=21))),
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
