"""The detector of test_capture.py finds what is there and stays calm where nothing is."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare_crypto.encoding import FieldParams, Params, encode_vector, words_to_bytes
from dreamshare_crypto.prg import Stream, apply_masks
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite
from tests.integration.correlation import Lanes, bound, search

DIMS = 1500
FIELD = FieldParams.create(DIMS, 16, 0.05, n_max=4)
PACKING = (Lanes(FIELD.lanes, FIELD.lane_bits),)


def encoded(update: np.ndarray, masked: bool) -> bytes:
    params = Params(1, (FIELD,), 4, 3, 3, 0, 0.0, 1.0, 0.0, 0.0, 0, bytes(16))
    rounding = Stream(Secret(bytes(32), "rounding key"), Suite.AES)
    words = encode_vector(params, (update,), 0.5, rounding)
    if masked:
        apply_masks(words, [(Secret(b"\x01" * 32, "self mask"), 1)], Suite.AES)
    return words_to_bytes(words)


def update(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.01, DIMS)


@pytest.mark.parametrize("before", [0, 3, 37])
def test_an_unmasked_vector_is_found_wherever_it_begins(before: int) -> None:
    message = bytes(range(before)) + encoded(update(1), masked=False) + b"signature" * 7
    assert search(message, [update(0), update(1)], PACKING).greatest[1] > 0.99


@pytest.mark.parametrize("kind", ["<f4", "<f8", ">f4", "<f2"])
def test_plain_numbers_are_found(kind: str) -> None:
    message = b"12345" + update(1).astype(kind).tobytes()
    assert search(message, [update(0), update(1)], PACKING).greatest[1] > 0.99


def test_a_masked_vector_is_not_found() -> None:
    verdict = search(encoded(update(1), masked=True), [update(0), update(1)], PACKING)
    assert verdict.comparisons > 1000
    assert verdict.greatest.max() < bound(DIMS, verdict.comparisons) < 0.5


def test_anothers_vector_is_not_taken_for_this_one() -> None:
    verdict = search(encoded(update(2), masked=False), [update(0), update(1)], PACKING)
    assert verdict.greatest.max() < bound(DIMS, verdict.comparisons)


def test_bytes_that_say_nothing_are_not_a_finding() -> None:
    assert search(bytes(20_000), [update(0)], PACKING).greatest.max() == 0.0
