"""Vectors: packing of 12.3, exact sums in the integer domain, and the range check of 12.5."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dreamshare_crypto.encoding import (
    FieldParams,
    Params,
    RangeError,
    decode_sum,
    encode_vector,
    words_from_bytes,
    words_to_bytes,
)
from dreamshare_crypto.errors import MalformedError, ParameterError
from dreamshare_crypto.keys import Secret
from dreamshare_crypto.prg import Stream, add_mask, expand, subtract_mask
from dreamshare_crypto.suite import Suite

Vector = NDArray[np.float64]


def params(
    *fields: tuple[int, int, float], n_max: int = 10, weight_cap: float = 1.0, l2_clip: float = 0.0
) -> Params:
    """Fields are (dims, bits, clip)."""
    return Params(
        mode=1,
        fields=tuple(FieldParams.create(d, q, c, n_max) for d, q, c in fields),
        n_max=n_max,
        a_min=0,
        u_min=0,
        d=0,
        l2_clip=l2_clip,
        weight_cap=weight_cap,
        noise_variance=0.0,
        noise_scale=0.0,
        tail=0,
        round_nonce=bytes(16),
    )


def key(i: int) -> Secret:
    return Secret(i.to_bytes(32, "little"), "rounding key")


def rounding_of(i: int) -> Stream:
    return Stream(key(i), Suite.AES)


ROWS = [  # n_max, q, lanes L: 8 / L bytes a coordinate; b = floor(64 / L)
    (10, 8, 5, 12),  # 10 * 255 = 2550 takes 12 bits: 1.60 B
    (30, 8, 4, 16),  # 7650, 13 bits -> 4 lanes, 3 guard bits each
    (100, 8, 4, 16),
    (10, 10, 4, 16),
    (100, 10, 3, 21),  # 102,300 takes 17 bits: 3 lanes of 21
    (10, 16, 3, 21),  # 655,350 takes 20 bits
    (100, 16, 2, 32),
    (10, 20, 2, 32),
    (1000, 8, 3, 21),
    (1, 8, 8, 8),
    (4, 16, 3, 21),
]


@pytest.mark.parametrize(("n_max", "bits", "lanes", "lane_bits"), ROWS)
def test_lanes_of_12_3(n_max: int, bits: int, lanes: int, lane_bits: int) -> None:
    f = FieldParams.create(7, bits, 1.0, n_max)
    assert (f.lanes, f.lane_bits) == (lanes, lane_bits)
    assert n_max * f.levels < 2**lane_bits  # 12.4
    assert f.words == math.ceil(7 / lanes)


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[Params, list[tuple[list[Vector], float, Secret]]]:
    n = draw(st.integers(1, 6))
    shapes = draw(
        st.lists(
            st.tuples(
                st.integers(1, 20), st.integers(8, 20), st.sampled_from([1e-6, 0.5, 1.0, 300.0])
            ),
            min_size=1,
            max_size=3,
        )
    )
    cap = draw(st.sampled_from([1.0, 50.0]))
    p = params(*shapes, n_max=draw(st.integers(n, 200)), weight_cap=cap)
    devices = []
    for i in range(n):
        vectors = [
            np.array(
                draw(st.lists(st.floats(-2 * c, 2 * c), min_size=d, max_size=d)), dtype=np.float64
            )
            for d, _, c in shapes
        ]
        devices.append((vectors, draw(st.floats(0, cap)), key(i)))
    return p, devices


@given(cohorts())
def test_decoded_sum_is_the_sum_of_clipped_weighted_values(
    case: tuple[Params, list[tuple[list[Vector], float, Secret]]],
) -> None:
    """Each device's rounding moves a coordinate by less than one step, 2C / (2^q - 1)."""
    p, devices = case
    total = np.zeros(p.words, dtype=np.uint64)
    for vectors, weight, rounding in devices:
        total += encode_vector(p, vectors, weight, Stream(rounding, Suite.AES))
    sums, weight_sum = decode_sum(p, total, len(devices))
    for i, (f, decoded) in enumerate(zip(p.fields, sums, strict=True)):
        exact = sum(np.clip(v[i] * (w / p.weight_cap), -f.clip, f.clip) for v, w, _ in devices)
        step = 2 * f.clip / f.levels
        assert np.all(np.abs(decoded - exact) <= len(devices) * step * (1 + 1e-9))
    exact_weight = sum(w / p.weight_cap for _, w, _ in devices)
    assert abs(weight_sum - exact_weight) <= len(devices) / 2 / 65535 * (1 + 1e-9)


@given(cohorts())
def test_sums_are_exact_in_the_integer_domain(
    case: tuple[Params, list[tuple[list[Vector], float, Secret]]],
) -> None:
    """decode(sum of words) equals the sum of what each device's own words decode to."""
    p, devices = case
    words = [encode_vector(p, v, w, Stream(k, Suite.AES)) for v, w, k in devices]
    sums, weight_sum = decode_sum(p, sum(words[1:], words[0].copy()), len(devices))
    alone = [decode_sum(p, one, 1) for one in words]
    for i, f in enumerate(p.fields):
        half_step = f.clip / f.levels
        levels = np.rint((sums[i] + len(devices) * f.clip) / (2 * half_step))
        apart = sum(np.rint((one[0][i] + f.clip) / (2 * half_step)) for one in alone)
        assert np.array_equal(levels, apart)
    assert round(weight_sum * 65535) == sum(round(one[1] * 65535) for one in alone)


@given(cohorts())
def test_masks_cancel_around_the_packing(
    case: tuple[Params, list[tuple[list[Vector], float, Secret]]],
) -> None:
    p, devices = case
    plain = np.zeros(p.words, dtype=np.uint64)
    masked = plain.copy()
    for vectors, weight, rounding in devices:
        words = encode_vector(p, vectors, weight, Stream(rounding, Suite.AES))
        plain += words
        add_mask(words, rounding, Suite.AES)
        masked += words
    for _, _, rounding in devices:
        subtract_mask(masked, rounding, Suite.AES)
    assert np.array_equal(masked, plain)


def test_layout_is_the_one_of_12_3() -> None:
    """n_max 4, q 8: M = 255, 4 * 255 = 1020 takes 10 bits, so L = 6 lanes of b = 10 bits.

    C = 255/2, so that a level is v + C: -127.5 -> 0, 127.5 -> 255, 0.5 -> 128. The second field
    starts a word of its own; the weight 0.5 of 1 is floor(32767.5 + 0.5) = 32768, last.
    """
    p = params((7, 8, 127.5), (1, 8, 127.5), n_max=4)
    x = np.array([-127.5, 127.5, 0.5, 1.5, -126.5, 2.5, 3.5])
    words = encode_vector(p, [x * 2, np.array([127.5])], 0.5, None)
    levels = [0, 255, 128, 129, 1, 130]
    first = sum(level << (10 * k) for k, level in enumerate(levels))
    half = (127.5 * 0.5 + 127.5 + 0.5) // 1  # 191.75 rounds to 191
    assert [int(w) for w in words] == [first, 131, int(half), 32768]
    assert words_to_bytes(words)[:8] == first.to_bytes(8, "little")
    assert np.array_equal(words_from_bytes(words_to_bytes(words)), words)


def test_rounding_offsets_are_the_key_stream() -> None:
    """u = floor((v + C)(2^q - 1)/(2C) + U), U from four bytes a coordinate, fields in order."""
    p = params((5, 16, 1.0), (3, 12, 2.0))
    xs = [np.linspace(-1, 1, 5), np.array([-0.3, 0.1, 1.9])]
    words = encode_vector(p, xs, 1.0, rounding_of(9))
    offsets = np.frombuffer(expand(key(9), 32, Suite.AES), dtype="<u4") / 2**32
    sums, _ = decode_sum(p, words, 1)
    start = 0
    for f, x, decoded in zip(p.fields, xs, sums, strict=True):
        scaled = (x + f.clip) * f.levels / (2 * f.clip)
        level = np.clip(np.floor(scaled + offsets[start : start + f.dims]), 0, f.levels)
        assert np.allclose(decoded, 2 * f.clip * level / f.levels - f.clip, rtol=0, atol=1e-12)
        start += f.dims


def test_rounding_is_repeatable_and_unbiased() -> None:
    p = params((4000, 8, 1.0))
    x = np.full(4000, 0.3)
    one, again, other = (encode_vector(p, [x], 1.0, rounding_of(i)) for i in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    # A rounding's standard error is at most half a step: 5 sigma of the mean of 4000.
    bound = 5 * (1 / 255) / math.sqrt(4000)
    assert abs(decode_sum(p, one, 1)[0][0].mean() - 0.3) < bound


def test_extremes_stay_in_the_lane() -> None:
    """At +C the offset cannot lift the level over 2^q - 1; n_max such devices still fit."""
    p = params((5, 8, 1.0), n_max=10)
    total = np.zeros(p.words, dtype=np.uint64)
    for i in range(10):
        total += encode_vector(p, [np.full(5, 1e300)], 1.0, rounding_of(i))
    sums, weight = decode_sum(p, total, 10)
    assert np.array_equal(sums[0], np.full(5, 10.0))
    assert weight == 10.0


def test_a_device_of_weight_zero_adds_half_a_step_at_most() -> None:
    p = params((50, 16, 4.0), weight_cap=7.0)
    sums, weight = decode_sum(p, encode_vector(p, [np.full(50, 3.9)], 0.0, rounding_of(1)), 1)
    assert weight == 0.0
    assert np.abs(sums[0]).max() <= 4.0 / 65535 * (1 + 1e-9)


def test_blocks_do_not_show() -> None:
    """A field longer than the encoder's block gives what its coordinates give."""
    dims = 3 * 2**15 + 100
    p = params((dims, 16, 1.0), n_max=4)
    x = np.sin(np.arange(dims, dtype=np.float64))
    decoded = decode_sum(p, encode_vector(p, [x], 1.0, None), 1)[0][0]
    assert np.abs(decoded - x).max() <= 1 / 65535 * (1 + 1e-9)


class TestRange:
    """12.5: what no honest survivors can make fails the round."""

    p = params((7, 8, 1.0), n_max=4)  # 6 lanes of 10 bits, 4 spare bits, 5 padding lanes

    def words(self) -> NDArray[np.uint64]:
        return encode_vector(self.p, [np.full(7, -1.0)], 1.0, None)  # all levels zero

    @pytest.mark.parametrize(
        ("word", "add"),
        [
            (0, (2**10 - 1) << 20),  # spec test 51: 2^b - 1 in one lane
            (0, 300 << 50),  # one lane over |U| * M
            (0, 1 << 60),  # a spare bit
            (1, 1 << 10),  # a padding lane
            (2, 1),  # weight above the cap
            (2, 2**63),
        ],
    )
    def test_refused(self, word: int, add: int) -> None:
        words = self.words()
        decode_sum(self.p, words, 1)
        words[word] += np.uint64(add)
        with pytest.raises(RangeError):
            decode_sum(self.p, words, 1)

    def test_a_carry_into_the_neighbour_is_no_extra_power(self) -> None:
        """12.5: 2^b - 1 on top of a level is that level less one, and the next lane plus one."""
        words = encode_vector(self.p, [np.zeros(7)], 1.0, None)  # all levels 128
        words[0] += np.uint64((2**10 - 1) << 20)
        steps = decode_sum(self.p, words, 1)[0][0][:6] * 255 / 2 - 0.5
        assert np.allclose(steps, [0, 0, -1, 1, 0, 0])

    def test_the_bound_follows_the_survivors(self) -> None:
        words = self.words() + self.words()
        decode_sum(self.p, words, 2)
        words[0] = np.uint64(2 * 255)
        decode_sum(self.p, words, 2)
        words[0] = np.uint64(2 * 255 + 1)
        with pytest.raises(RangeError):
            decode_sum(self.p, words, 2)

    @pytest.mark.parametrize("survivors", [0, 5])
    def test_survivors_within_n_max(self, survivors: int) -> None:
        with pytest.raises(ParameterError):
            decode_sum(self.p, self.words(), survivors)

    def test_shape_and_dtype(self) -> None:
        for words in (self.words()[:-1], self.words().astype(np.int64)):
            with pytest.raises(ParameterError):
                decode_sum(self.p, words, 1)


class TestNorm:
    """12.1, 12.6: the l2 clip holds over all fields together, after rounding."""

    @pytest.mark.parametrize("stream", [None, rounding_of(3)])
    @pytest.mark.parametrize("bits", [8, 16])
    @pytest.mark.parametrize("clip", [0.5, 2.0])
    def test_holds_after_rounding(self, stream: Stream | None, bits: int, clip: float) -> None:
        p = params((300, bits, 0.5), (20, bits, 8.0), l2_clip=clip)
        generator = np.random.default_rng(5)
        xs = [generator.normal(0, 0.4, 300), generator.normal(0, 5.0, 20)]
        for scale in (1e-3, 1.0, 1e3):
            sums, _ = decode_sum(p, encode_vector(p, [x * scale for x in xs], 1.0, stream), 1)
            norm = math.sqrt(
                sum(float(np.sum((s / f.clip) ** 2)) for s, f in zip(sums, p.fields, strict=True))
            )
            assert norm <= clip * (1 + 1 / 64)

    def test_holds_where_random_rounding_never_does(self) -> None:
        """16,256 coordinates of 8 bits: half a step each is 0.5 in norm.

        Random rounding of a vector of norm 1 then gives about sqrt(1 + 0.25) = 1.12, far above
        1 + 1/64 in each of its draws; the vector is scaled down and rounded to nearest instead.
        """
        p = params((16_256, 8, 1.0), l2_clip=1.0)
        x = np.full(16_256, 0.5)
        drawn, nearest = (encode_vector(p, [x], 1.0, k) for k in (rounding_of(3), None))
        norm = float(np.linalg.norm(decode_sum(p, drawn, 1)[0][0]))
        assert norm <= 1 + 1 / 64
        assert np.array_equal(drawn, nearest)

    def test_zero_has_a_norm_of_rounding_only(self) -> None:
        p = params((100, 16, 1.0), l2_clip=0.5)
        assert (
            np.linalg.norm(decode_sum(p, encode_vector(p, [np.zeros(100)], 1.0, None), 1)[0][0])
            < 0.01
        )

    def test_short_vectors_are_left_alone(self) -> None:
        with_clip, without = params((9, 16, 1.0), l2_clip=4.0), params((9, 16, 1.0))
        x = np.full(9, 0.5)
        assert np.array_equal(
            encode_vector(with_clip, [x], 1.0, rounding_of(1)),
            encode_vector(without, [x], 1.0, rounding_of(1)),
        )

    def test_direction_is_kept(self) -> None:
        p = params((2, 20, 10.0), l2_clip=0.1)  # x / C = (0.6, 0.8) * 0.5 is scaled to norm 0.1
        sums, _ = decode_sum(p, encode_vector(p, [np.array([3.0, 4.0])], 1.0, None), 1)
        assert np.allclose(sums[0], [0.6, 0.8], atol=1e-4)

    def test_a_clip_below_the_resolution_is_refused(self) -> None:
        """10,000 coordinates of 8 bits: half a step each is 100 / 255 = 0.39 in norm."""
        p = params((10_000, 8, 1.0), l2_clip=0.3)
        with pytest.raises(ParameterError, match="resolution"):
            encode_vector(p, [np.zeros(10_000)], 1.0, rounding_of(1))

    def test_values_that_have_no_norm_are_refused(self) -> None:
        with pytest.raises(ParameterError, match="too large"):
            encode_vector(params((1, 8, 1.0), l2_clip=1.0), [np.array([1e200])], 1.0, None)


class TestInputs:
    p = params((3, 16, 1.0), (2, 16, 1.0), weight_cap=5.0)
    good = (np.zeros(3), np.zeros(2))

    @pytest.mark.parametrize(
        "fields",
        [
            (np.zeros(3),),
            (np.zeros(3), np.zeros(3)),
            (np.zeros((3, 1)), np.zeros(2)),
            (np.zeros(3, dtype=np.float32), np.zeros(2)),
            (np.array([0, np.nan, 0]), np.zeros(2)),
            (np.array([0, np.inf, 0]), np.zeros(2)),
        ],
    )
    def test_fields(self, fields: tuple[Vector, ...]) -> None:
        with pytest.raises(ParameterError):
            encode_vector(self.p, fields, 1.0, rounding_of(1))

    @pytest.mark.parametrize("weight", [-0.1, 5.1, math.nan, math.inf])
    def test_weight(self, weight: float) -> None:
        with pytest.raises(ParameterError, match="weight"):
            encode_vector(self.p, self.good, weight, rounding_of(1))

    def test_the_given_arrays_are_not_touched(self) -> None:
        x = np.array([5.0, -5.0, 0.1])
        encode_vector(self.p, (x, np.zeros(2)), 1.0, rounding_of(1))
        assert x.tolist() == [5.0, -5.0, 0.1]

    def test_broken_words(self) -> None:
        with pytest.raises(MalformedError):
            words_from_bytes(bytes(9))
        assert words_from_bytes(bytes(8)).flags.writeable
