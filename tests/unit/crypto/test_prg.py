"""Masks: AES-256-CTR and ChaCha20 answers, and adding in chunks is adding the stream."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.keys import Secret
from dreamshare_crypto.prg import (
    CHUNK_BYTES,
    LEAST_SPAN,
    LONGEST,
    Stream,
    add_mask,
    apply_masks,
    expand,
    subtract_mask,
)
from dreamshare_crypto.suite import Suite

CHUNK_WORDS = CHUNK_BYTES // 8
KEY = Secret(bytes(range(32)))
SUITES = tuple(Suite)


def counter_blocks(key: bytes, counters: list[int]) -> str:
    """AES-256 of each 128-bit big-endian counter: CTR from its definition, SP 800-38A 6.5."""
    encryptor = Cipher(AES256(key), ECB()).encryptor()
    return encryptor.update(b"".join(c.to_bytes(16, "big") for c in counters)).hex()


def test_sp_800_38a_ctr_aes256() -> None:
    """F.5.5 gives the output blocks of a counter from f0f1..ff; our counter starts at zero.

    So the published answers check the block function, and the block function checks our stream,
    whose first blocks are also those of GCM test cases 13 and 14 (key 0: H, E(Y0), E(Y1)).
    """
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    first = int.from_bytes(bytes(range(0xF0, 0x100)), "big")
    assert counter_blocks(key, [first + i for i in range(4)]) == (
        "0bdf7df1591716335e9a8b15c860c502"
        "5a6e699d536119065433863c8f657b94"
        "1bc12c9c01610d5d0d8bd6a3378eca62"
        "2956e1c8693536b1bee99c73a31576b6"
    )
    assert expand(Secret(key), 4096, Suite.AES).hex() == counter_blocks(key, list(range(256)))
    assert expand(Secret(bytes(32)), 48, Suite.AES).hex() == (
        "dc95c078a2408989ad48a21492842087"
        "530f8afbc74536b9a963b4f1c4cb738b"
        "cea7403d4d606b6e074ec5d3baf39d18"
    )


# RFC 8439, appendix A.1: key, block counter, key stream; the nonce of these three is zero.
CHACHA_BLOCKS = [
    (
        "00" * 32,
        0,
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
    ),
    (
        "00" * 32,
        1,
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
    ),
    (
        "00ff" + "00" * 30,
        2,
        "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
        "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096",
    ),
]


@pytest.mark.parametrize(("key", "counter", "block"), CHACHA_BLOCKS)
def test_rfc_8439_key_streams(key: str, counter: int, block: str) -> None:
    """The stream begins at counter 0 and nonce 0, so block `counter` of it is the RFC's."""
    stream = expand(Secret(bytes.fromhex(key)), 64 * (counter + 1), Suite.CHACHA)
    assert stream[64 * counter :].hex() == block


@pytest.mark.parametrize("suite", SUITES)
@given(cuts=st.lists(st.integers(0, 50), max_size=6))
def test_a_stream_is_read_in_order(suite: Suite, cuts: list[int]) -> None:
    stream = Stream(KEY, suite)
    assert b"".join(stream.take(n) for n in cuts) == expand(KEY, sum(cuts), suite)


@pytest.mark.parametrize("suite", SUITES)
@given(start=st.integers(0, 300), length=st.integers(0, 200))
def test_a_stream_is_entered_anywhere(suite: Suite, start: int, length: int) -> None:
    whole = expand(KEY, start + length, suite)
    assert Stream(KEY, suite, start).take(length) == whole[start:]


@pytest.mark.parametrize("suite", SUITES)
def test_a_stream_is_entered_far_away(suite: Suite) -> None:
    """Behind byte 2^33 the counter has four bytes; reading there and beside it must agree."""
    far = 2**33 + 40
    assert Stream(KEY, suite, far).take(100)[24:] == Stream(KEY, suite, far + 24).take(76)
    last = Stream(KEY, suite, LONGEST - 8)
    assert len(last.take(8)) == 8
    for beyond in (lambda: last.take(1), lambda: Stream(KEY, suite, LONGEST + 1)):
        with pytest.raises(ParameterError, match="at most"):
            beyond()


LENGTHS = [0, 1, 7, CHUNK_WORDS - 1, CHUNK_WORDS, CHUNK_WORDS + 1, 2 * CHUNK_WORDS + 3]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("length", LENGTHS)
def test_add_is_the_stream_as_little_endian_words(length: int, suite: Suite) -> None:
    words = np.zeros(length, dtype=np.uint64)
    add_mask(words, KEY, suite)
    assert words.astype("<u8").tobytes() == expand(KEY, 8 * length, suite)
    subtract_mask(words, KEY, suite)
    assert not words.any()


def test_words_wrap_modulo_two_to_the_64() -> None:
    words = np.full(3, 2**64 - 1, dtype=np.uint64)
    add_mask(words, KEY, Suite.AES)
    stream = expand(KEY, 24, Suite.AES)
    expected = [
        (2**64 - 1 + int.from_bytes(stream[i : i + 8], "little")) % 2**64 for i in (0, 8, 16)
    ]
    assert [int(w) for w in words] == expected


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("length", [5, CHUNK_WORDS + 9])
def test_many_masks_at_once_are_the_same_one_by_one(length: int, suite: Suite) -> None:
    masks = [(Secret(bytes([i]) * 32), 1 if i % 3 else -1) for i in range(7)]
    start = np.arange(length, dtype=np.uint64)
    together, apart = start.copy(), start.copy()
    apply_masks(together, masks, suite)
    for key, sign in reversed(masks):
        (add_mask if sign == 1 else subtract_mask)(apart, key, suite)
    assert np.array_equal(together, apart)
    apply_masks(together, [(key, -sign) for key, sign in masks], suite)
    assert np.array_equal(together, start)
    apply_masks(together, [], suite)
    assert np.array_equal(together, start)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("length", [2 * CHUNK_WORDS + 13, 3 * CHUNK_WORDS, 4])
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_no_bit(length: int, threads: int, suite: Suite) -> None:
    """Spans begin off the chunks' grid; 70 streams of half a MiB are enough work for seven."""
    masks = [(Secret(bytes([i]) * 32), 1 if i % 3 else -1) for i in range(70)]
    assert 8 * CHUNK_WORDS * 2 * len(masks) >= 7 * LEAST_SPAN
    alone = np.arange(length, dtype=np.uint64)
    divided = alone.copy()
    apply_masks(alone, masks, suite)
    apply_masks(divided, masks, suite, threads)
    assert np.array_equal(divided, alone)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("chunk", [64, 320, 4096, 1 << 20])
def test_the_size_of_a_chunk_changes_no_bit(
    chunk: int, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = [(KEY, 1), (Secret(bytes(32)), -1)]
    usual = np.arange(9_001, dtype=np.uint64)
    other = usual.copy()
    apply_masks(usual, masks, suite)
    monkeypatch.setattr("dreamshare_crypto.prg.CHUNK_BYTES", chunk)
    apply_masks(other, masks, suite)
    assert np.array_equal(other, usual)


def test_work_needs_a_thread() -> None:
    with pytest.raises(ParameterError, match="at least 1"):
        apply_masks(np.zeros(4, dtype=np.uint64), [(KEY, 1)], Suite.AES, threads=0)


@pytest.mark.parametrize(
    "words",
    [
        np.zeros(4, dtype=np.int64),
        np.zeros(4, dtype=np.uint32),
        np.zeros((2, 2), dtype=np.uint64),
        np.zeros(8, dtype=np.uint64)[::2],
    ],
)
def test_other_arrays_are_refused(words: np.ndarray) -> None:
    with pytest.raises(ParameterError, match="uint64"):
        add_mask(words, KEY, Suite.AES)


def test_bad_signs_keys_and_lengths_change_nothing() -> None:
    words = np.zeros(4, dtype=np.uint64)
    for masks in ([(KEY, 1), (KEY, 0)], [(KEY, 1), (Secret(b"short"), 1)]):
        with pytest.raises(ParameterError):
            apply_masks(words, masks, Suite.AES)
    assert not words.any()
    for length in (-1, LONGEST + 1):
        with pytest.raises(ParameterError):
            expand(KEY, length, Suite.AES)
