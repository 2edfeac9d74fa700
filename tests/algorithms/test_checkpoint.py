"""Archives and states as bytes."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare.algorithms.checkpoint import (
    decode_arrays,
    decode_state,
    encode_arrays,
    encode_state,
)
from dreamshare.errors import ConfigError
from dreamshare.updates import PublicArray


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    x: PublicArray
    note: str = ""


@dataclass(frozen=True, slots=True)
class Outer:
    number: int
    ratio: float
    on: bool
    colour: Colour
    inner: Inner
    many: tuple[Inner, ...]
    pair: tuple[int, str]
    table: Mapping[str, PublicArray]
    maybe: Inner | None = None


ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b.c_1": np.array([np.inf, -0.0, np.nan]),
    "n": np.array(-(2**62), np.int64),
    "u": np.zeros((0, 4), np.uint8),
}


def outer(maybe: Inner | None) -> Outer:
    inner = Inner(ARRAYS["a"], "x")
    return Outer(3, 0.1, True, Colour.BLUE, inner, (inner, inner), (1, "z"), ARRAYS, maybe)


def test_arrays_survive():
    again = decode_arrays(encode_arrays(ARRAYS))
    assert list(again) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype
    assert encode_arrays(ARRAYS) == encode_arrays(ARRAYS)


def test_numpy_reads_the_archive():
    with np.load(io.BytesIO(encode_arrays(ARRAYS)), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["a"], ARRAYS["a"])


@pytest.mark.parametrize("maybe", [None, Inner(np.ones(2))])
def test_states_survive(maybe):
    raw = encode_state(outer(maybe))
    again = decode_state(raw, Outer)
    assert (again.number, again.ratio, again.on, again.colour) == (3, 0.1, True, Colour.BLUE)
    assert again.pair == (1, "z") and again.many[1].note == "x"
    np.testing.assert_array_equal(again.table["b.c_1"], ARRAYS["b.c_1"])
    assert (again.maybe is None) == (maybe is None)
    assert encode_state(again) == raw


@given(st.binary(max_size=200))
def test_noise_is_refused_with_our_error(raw):
    with pytest.raises(ConfigError):
        decode_state(raw, Outer)


@given(st.data())
def test_damage_is_refused_or_harmless(data):
    raw = bytearray(encode_state(outer(None)))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with suppress(ConfigError):
        decode_state(bytes(raw), Outer)


def test_objects_are_neither_written_nor_read():
    with pytest.raises(ConfigError, match="dtype"):
        encode_arrays({"o": np.array([object()])})
    buffer = io.BytesIO()
    np.savez(buffer, o=np.array([{"pickled": 1}], dtype=object))
    with pytest.raises(ConfigError):
        decode_arrays(buffer.getvalue())
    with pytest.raises(ConfigError):
        decode_arrays(pickle.dumps(ARRAYS))


def test_an_archive_that_unpacks_too_large_is_refused_before_unpacking():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", bytes(1 << 22))
    with pytest.raises(ConfigError, match="more than 1000000"):
        decode_arrays(buffer.getvalue(), most_bytes=1_000_000)


def test_names_and_values_that_cannot_be_stored():
    with pytest.raises(ConfigError, match="array name"):
        encode_arrays({"../a": np.ones(1)})
    with pytest.raises(ConfigError, match="cannot be stored"):
        encode_state(Inner(np.ones(1), note=object()))
    with pytest.raises(ConfigError, match="cannot be stored"):
        encode_state(Inner(np.ones(1), note=float("nan")))


def test_another_class_is_refused():
    with pytest.raises(ConfigError, match="an? Outer was expected"):
        decode_state(encode_state(Inner(np.ones(1))), Outer)
