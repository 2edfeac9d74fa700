"""Encoding parameters: canonical bytes, only the packing of 12.3, garbage is MalformedError."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.encoding import FieldParams, Params
from dreamshare_crypto.errors import MalformedError, ParameterError
from dreamshare_crypto.kdf import hash_parts


def make(n_max: int = 10, tail: int = 0, mode: int = 1) -> Params:
    """With a tail, the noise that goes with it."""
    return Params(
        mode=mode,
        fields=(
            FieldParams.create(786_432, 16, 0.25, n_max, tail),
            FieldParams.create(1, 16 if tail else 8, 1.0, n_max, tail),
        ),
        n_max=n_max,
        a_min=9,
        u_min=8,
        d=0,
        l2_clip=2.0 if tail else 0.0,
        weight_cap=100.0,
        noise_variance=1e4 if tail else 0.0,
        noise_scale=32_767.5 if tail else 0.0,
        tail=tail,
        round_nonce=bytes(range(16)),
    )


def test_layout() -> None:
    """12.1: mode u8, list of (u64, u8, u8, u8, f64), 4 x u32, 4 x f64, u32, 16 bytes."""
    raw = make().encode()
    assert len(raw) == 1 + 4 + 2 * 19 + 16 + 32 + 4 + 16
    first = "00000c0000000000" + "10" + "03" + "15" + "000000000000d03f"
    assert raw.hex().startswith("01" + "02000000" + first)
    assert raw.endswith(bytes(range(16)))
    assert make().hash() == hash_parts("sa2/v1/params", raw)


@pytest.mark.parametrize("params", [make(), make(n_max=100), make(tail=500), make(mode=2)])
def test_round_trip(params: Params) -> None:
    """Noise and bounded mode can be read, so that they can be refused by their own code."""
    assert Params.decode(params.encode()) == params


def test_noise_is_whole() -> None:
    """A variance, a scale and a tail, on an l2 clip and fields of one q; or nothing of it."""
    noisy = make(tail=500)
    mixed = (noisy.fields[0], FieldParams.create(1, 8, 1.0, 10, 500))
    for change in (
        {"noise_variance": 0.0},
        {"noise_scale": 0.0},
        {"noise_scale": 32_767.0},
        {"l2_clip": 0.0},
        {"l2_clip": 1e304},  # finite, and its levels are not
        {"fields": mixed},
    ):
        with pytest.raises(ParameterError):
            dataclasses.replace(noisy, **change)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="none of the three"):
        dataclasses.replace(make(), noise_variance=1.0)


def test_words_count_each_field_from_a_boundary() -> None:
    assert make().words == 786_432 // 3 + 1 + 1


@given(st.binary(max_size=150))
def test_garbage(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        Params.decode(raw)


@given(st.integers(0, len(make().encode()) - 1), st.integers(1, 255))
def test_one_changed_byte_is_malformed_or_canonical(at: int, change: int) -> None:
    raw = bytearray(make().encode())
    raw[at] ^= change
    try:
        params = Params.decode(bytes(raw))
    except MalformedError:
        return
    assert params.encode() == raw
    assert params != make()


def test_prefixes_and_extensions() -> None:
    raw = make().encode()
    for other in (raw[:-1], raw + b"\0", b""):
        with pytest.raises(MalformedError):
            Params.decode(other)


@pytest.mark.parametrize(
    "change",
    [
        {"mode": 0},
        {"mode": 3},
        {"fields": ()},
        {"n_max": 0},
        {"n_max": 2**32},
        {"a_min": 11},
        {"u_min": 10},
        {"u_min": -1},
        {"d": 11},
        {"weight_cap": 0.0},
        {"weight_cap": math.inf},
        {"l2_clip": -1.0},
        {"l2_clip": math.nan},
        {"noise_variance": -1.0},
        {"noise_scale": math.inf},
        {"tail": -1},
        {"tail": 500},  # the packing does not leave room for it
        {"round_nonce": bytes(15)},
        {"fields": (FieldParams(5, 16, 2, 32, 1.0),)},  # 12.3 packs three lanes
        {"fields": (FieldParams(5, 16, 3, 20, 1.0),)},  # 12.3 spreads the spare bits
        {"fields": (FieldParams.create(5, 16, 1.0, 100),)},  # packed for another n_max
    ],
)
def test_refused_at_birth(change: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        dataclasses.replace(make(), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dims", "bits", "clip", "n_max"),
    [
        (0, 16, 1.0, 10),
        (2**48, 16, 1.0, 10),
        (5, 7, 1.0, 10),
        (5, 21, 1.0, 10),
        (5, 16, 0.0, 10),
        (5, 16, -1.0, 10),
        (5, 16, math.inf, 10),
        (5, 16, math.nan, 10),
        (5, 16, 1.0, 0),
        (5, 20, 1.0, 2**45),  # 12.4: no lane is wide enough
    ],
)
def test_fields_refused_at_birth(dims: int, bits: int, clip: float, n_max: int) -> None:
    with pytest.raises(ParameterError):
        FieldParams.create(dims, bits, clip, n_max)


def test_more_bits_or_devices_never_take_fewer_words() -> None:
    words = [FieldParams.create(1000, q, 1.0, 10).words for q in range(8, 21)]
    assert words == sorted(words)
    words = [FieldParams.create(1000, 16, 1.0, n).words for n in (1, 3, 10, 100, 1000, 10**6)]
    assert words == sorted(words)
