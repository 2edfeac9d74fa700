"""The mask generators: AES-256-CTR and ChaCha20, both from a zero counter (docs/protocol.md 2.6).

Rules:
- a key makes one stream only, of at most 2^36 bytes; streams of one key always begin at its start;
- masks are added word by word modulo 2^64 (7.2), in place, through one small scratch buffer;
- the chunk is the outer loop and the keys the inner one, so that the accumulator's chunk and the
  scratch stay in the processor's second-level cache whatever the number of peers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite

KEY_BYTES = 32
LONGEST = 2**36
"""Most bytes of one stream (2.6)."""

CHUNK_BYTES = 256 * 1024
_ZEROS = bytes(CHUNK_BYTES)
_WORD = np.dtype("<u8")

_START = bytes(16)
"""AES: the 128-bit counter block. ChaCha20: a 32-bit block counter, then the 96-bit nonce of RFC
8439; 2^36 bytes are 2^30 blocks, so that the counter never runs over into the nonce."""


class Stream:
    """The key stream of one key of one suite, read in order."""

    __slots__ = ("_encryptor", "_left")

    def __init__(self, key: Secret, suite: Suite) -> None:
        if len(key) != KEY_BYTES:
            raise ParameterError(f"a PRG key has {KEY_BYTES} bytes, not {len(key)}")
        self._encryptor = _cipher(key, suite).encryptor()
        self._left = LONGEST

    def take(self, n: int) -> bytes:
        """Return the next `n` bytes; ParameterError past 2^36 bytes."""
        self._spend(n)
        return self._encryptor.update(bytes(n))

    def take_into(self, n: int, scratch: memoryview) -> None:
        """Write the next `n <= CHUNK_BYTES` bytes to the front of `scratch`, without allocating."""
        self._spend(n)
        self._encryptor.update_into(memoryview(_ZEROS)[:n], scratch)

    def _spend(self, n: int) -> None:
        if not 0 <= n <= self._left:
            raise ParameterError(f"a PRG key makes at most {LONGEST} bytes")
        self._left -= n


def _cipher(key: Secret, suite: Suite) -> Cipher[CTR] | Cipher[None]:
    match suite:
        case Suite.AES:
            return Cipher(AES256(key.reveal()), CTR(_START))
        case Suite.CHACHA:
            return Cipher(ChaCha20(key.reveal(), _START), None)


def expand(key: Secret, length: int, suite: Suite) -> bytes:
    """Return the first `length` bytes of the key's stream (2.6)."""
    return Stream(key, suite).take(length)


def apply_masks(
    words: NDArray[np.uint64], masks: Sequence[tuple[Secret, int]], suite: Suite
) -> None:
    """Add (sign +1) or subtract (sign -1) each key's stream to `words`, in place, mod 2^64 (7.2).

    Args:
        words: one-dimensional, C-contiguous uint64, writable; word i takes bytes 8i..8i+7 of each
            stream as a little-endian integer.
        masks: (key, sign) pairs, in any order.
        suite: the epoch's.

    Raises:
        ParameterError: wrong array, key length or sign, or more than 2^36 bytes.
    """
    if words.ndim != 1 or words.dtype != np.uint64 or not words.flags.c_contiguous:
        raise ParameterError("masks apply to a one-dimensional contiguous array of uint64")
    if any(sign not in (1, -1) for _, sign in masks):
        raise ParameterError("the sign of a mask is +1 or -1")
    streams = [(Stream(key, suite), sign) for key, sign in masks]
    scratch = bytearray(CHUNK_BYTES + 16)  # update_into asks for a block more than it writes
    view = memoryview(scratch)
    mask = np.frombuffer(scratch, dtype=_WORD, count=CHUNK_BYTES // 8)
    step = CHUNK_BYTES // 8
    for start in range(0, len(words), step):
        chunk = words[start : start + step]
        size = len(chunk)
        for stream, sign in streams:
            stream.take_into(8 * size, view)
            if sign == 1:
                np.add(chunk, mask[:size], out=chunk)
            else:
                np.subtract(chunk, mask[:size], out=chunk)


def add_mask(words: NDArray[np.uint64], key: Secret, suite: Suite) -> None:
    """Add the key's stream to `words` in place; see `apply_masks`."""
    apply_masks(words, ((key, 1),), suite)


def subtract_mask(words: NDArray[np.uint64], key: Secret, suite: Suite) -> None:
    """Subtract the key's stream from `words` in place; see `apply_masks`."""
    apply_masks(words, ((key, -1),), suite)
