"""Params as bytes: every kind that a round may have, and some that cannot be read (12.1, 12.4)."""

from __future__ import annotations

import struct
from dataclasses import asdict, replace

from tests.reference.lanes import AGREED, BOUNDED, Field, Params, field_for
from tests.reference.session_vectors import Json

TAIL = 40
NONCE = bytes(range(16))
PLAIN = Params(
    AGREED, (field_for(1_000, 16, 1.5, 100),), 100, 90, 53, 0, 0.0, 8.0, 0.0, 0.0, 0, NONCE
)
GOOD = {
    "one-field": PLAIN,
    "template": replace(PLAIN, A_min=0, u_min=0, round_nonce=bytes(16)),
    "three-fields": replace(
        PLAIN,
        fields=(
            field_for(7, 8, 0.25, 100),
            field_for(1, 20, 1e6, 100),
            field_for(2**20 + 1, 12, 2.0**-30, 100),
        ),
    ),
    "bounded": replace(PLAIN, mode=BOUNDED, u_min=80, d=10),
    "l2-clip": replace(PLAIN, l2_clip=12.5),
    "noise": replace(
        PLAIN,
        fields=(field_for(1_000, 16, 1.5, 100, TAIL), field_for(3, 16, 0.5, 100, TAIL)),
        l2_clip=12.5,
        variance=1234.5,
        scale=(2**16 - 1) / 2,
        T=TAIL,
    ),
}


def _with_float(at: int, bits: int) -> bytes:
    data = PLAIN.encoded()
    return data[:at] + struct.pack("<Q", bits) + data[at + 8 :]


def _with_field(**changes: int) -> bytes:
    field: Field = replace(PLAIN.fields[0], **changes)  # type: ignore[arg-type]
    return replace(PLAIN, fields=(field,)).encoded()


def _bad() -> dict[str, bytes]:
    data, noise = PLAIN.encoded(), GOOD["noise"]
    clip, l2_clip, cap = 16, 40, 48  # offsets of C, the l2 clip and W with one field
    return {
        "empty": b"",
        "short": data[:-1],
        "trailing-byte": data + b"\0",
        "mode-0": b"\0" + data[1:],
        "mode-3": b"\3" + data[1:],
        "no-fields": data[:1] + bytes(4) + data[24:],
        "count-beyond-bytes": data[:1] + b"\xff\xff\xff\xff" + data[5:],
        "clip-zero": _with_float(clip, 0),
        "clip-negative": _with_float(clip, 0xBFF0 << 48),
        "clip-nan": _with_float(clip, 0x7FF8 << 48),
        "clip-infinite": _with_float(clip, 0x7FF0 << 48),
        "l2-clip-negative-zero": _with_float(l2_clip, 1 << 63),
        "weight-cap-zero": _with_float(cap, 0),
        "weight-cap-nan": _with_float(cap, 0x7FF8 << 48),
        "dims-zero": _with_field(dims=0),
        "bits-7": _with_field(q=7),
        "bits-21": _with_field(q=21),
        "no-lanes": _with_field(L=0),
        "lane-too-narrow": _with_field(b=20),
        "other-packing": _with_field(L=1, b=64),
        "umin-above-amin": replace(PLAIN, u_min=91).encoded(),
        "amin-above-nmax": replace(PLAIN, A_min=101).encoded(),
        "noise-without-tail": replace(noise, T=0).encoded(),
        "noise-without-l2-clip": replace(noise, l2_clip=0.0).encoded(),
        "noise-of-other-scale": replace(noise, scale=1.0).encoded(),
        "tail-without-noise": replace(noise, variance=0.0, scale=0.0).encoded(),
    }


def params_vectors() -> dict[str, Json]:
    good: list[Json] = []
    for name, params in GOOD.items():
        values: dict[str, Json] = {
            key: value
            for key, value in asdict(params).items()
            if key not in {"fields", "round_nonce"}
        }
        fields: list[Json] = [asdict(field) for field in params.fields]
        good.append(
            {
                "name": name,
                **values,
                "fields": fields,
                "round_nonce": params.round_nonce.hex(),
                "bytes": params.encoded().hex(),
                "Hp": params.hash().hex(),
            }
        )
    return {
        "about": "params (12.1): bytes and their values; bytes that are M1",
        "good": good,
        "bad": [{"name": name, "code": "M1", "bytes": b.hex()} for name, b in _bad().items()],
    }
