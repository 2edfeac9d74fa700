"""Vectors and sums keep every bit, whatever the size of a block: recorded hashes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from dreamshare_crypto.encoding import decode_sum, encode_vector, words_to_bytes
from dreamshare_crypto.keys import Secret
from dreamshare_crypto.prg import Stream
from dreamshare_crypto.suite import Suite
from tests.unit.crypto.test_encoding import params

RECORDED = [  # bits, rounded at random: by the code of version 0.1, which had blocks of 2^15 words
    (8, True, "6c5a60e05d413aef8190e8063770a572"),
    (8, False, "cc7d36c2e3e28208513e9e3b080ca3c5"),
    (16, True, "1bb8429de1b5f340ed0752236cf9b3ce"),
    (16, False, "3cc1574870d63e2b68a86cf2e566b327"),
    (20, True, "1365cc0be184e447aa7cad9c6a183175"),
    (20, False, "99bdb1a5a5011e6daacf1e5ee39c2232"),
]


@pytest.mark.parametrize("block", [None, 64, 1 << 15])
@pytest.mark.parametrize(("bits", "random", "recorded"), RECORDED)
def test_vectors_and_sums_are_bit_for_bit_what_they_were(
    bits: int, random: bool, recorded: str, block: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size of a block; the inputs are made of integers, the same on every machine."""
    if block is not None:
        monkeypatch.setattr("dreamshare_crypto.encoding.BLOCK_WORDS", block)
        monkeypatch.setattr("dreamshare_crypto.lanes.BLOCK_WORDS", block)
    dims = (70_001, 5, 33_000)
    p = params(*zip(dims, (bits,) * 3, (1.0, 0.125, 3.0), strict=True), n_max=100, weight_cap=2.0)
    numbers = np.arange(sum(dims), dtype=np.uint64) * np.uint64(2_654_435_761) % np.uint64(2**20)
    flat = numbers.astype(np.float64) / 2**19 - 1.0
    fields = np.split(flat, np.cumsum(dims)[:-1])
    stream = Stream(Secret(bytes(range(32))), Suite.AES) if random else None
    words = encode_vector(p, fields, 1.5, stream)
    sums, _ = decode_sum(p, words, 1)
    said = words_to_bytes(words) + b"".join(x.astype("<f8").tobytes() for x in sums)
    assert hashlib.sha256(said).hexdigest()[:32] == recorded
