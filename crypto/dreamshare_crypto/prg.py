"""The mask generators: AES-256-CTR and ChaCha20, both from a zero counter (docs/protocol.md 2.6).

Rules:
- a key makes one stream only, of at most 2^36 bytes; streams of one key always begin at its start;
- masks are added word by word modulo 2^64 (7.2), in place, through one small scratch buffer a
  thread;
- the chunk is the outer loop and the keys the inner one, so that the accumulator's chunk and the
  scratch stay in the processor's second-level cache whatever the number of peers;
- a stream can be entered anywhere, so threads divide the vector, never the keys: each owns its span
  of words, and the result has the same bits whatever their number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.parallel import over_spans, spans
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite

KEY_BYTES = 32
LONGEST = 2**36
"""Most bytes of one stream (2.6)."""

CHUNK_BYTES = 256 * 1024
"""Stream bytes made at a time. 64 to 512 KiB were measured within 5 % of one another; chunk of the
vector and scratch have to fit the second-level cache together."""

LEAST_SPAN = 4 << 20
"""Stream bytes below which a further thread costs more than it saves: about half a millisecond."""

_ZEROS = bytes(CHUNK_BYTES)
_WORD = np.dtype("<u8")
_SLACK = 16  # update_into asks for a block more than it writes
_LANE = 8  # words of a ChaCha20 block, four AES blocks: spans begin at whole blocks of either


class Stream:
    """The key stream of one key of one suite, read in order.

    Args:
        key: 32 bytes.
        suite: the epoch's.
        start: byte at which reading begins, 0..2^36.
    """

    __slots__ = ("_encryptor", "_left")

    def __init__(self, key: Secret, suite: Suite, start: int = 0) -> None:
        if len(key) != KEY_BYTES:
            raise ParameterError(f"a PRG key has {KEY_BYTES} bytes, not {len(key)}")
        self._left = LONGEST
        self._spend(start)
        self._encryptor, skip = _cipher(key, suite, start)
        if skip:
            self._encryptor.update(_ZEROS[:skip])

    def take(self, n: int) -> bytes:
        """Return the next `n` bytes; ParameterError past 2^36 bytes."""
        self._spend(n)
        return self._encryptor.update(bytes(n))

    def take_into(self, n: int, scratch: memoryview) -> None:
        """Write the next `n <= CHUNK_BYTES` bytes to the front of `scratch`, without allocating.

        Args:
            scratch: at least n + 15 bytes long.
        """
        self._spend(n)
        self._encryptor.update_into(memoryview(_ZEROS)[:n], scratch)

    def _spend(self, n: int) -> None:
        if not 0 <= n <= self._left:
            raise ParameterError(f"a PRG key makes at most {LONGEST} bytes")
        self._left -= n


def _cipher(key: Secret, suite: Suite, start: int) -> tuple[CipherContext, int]:
    """Return the cipher at the block that holds byte `start`, and how far into it that is.

    AES: a big-endian 128-bit counter block. ChaCha20: a little-endian 32-bit block counter, then
    the 96-bit nonce of RFC 8439, zero; 2^36 bytes are 2^30 blocks, so that the counter never runs
    over into the nonce.
    """
    match suite:
        case Suite.AES:
            block, skip = divmod(start, 16)
            return Cipher(AES256(key.reveal()), CTR(block.to_bytes(16, "big"))).encryptor(), skip
        case Suite.CHACHA:
            block, skip = divmod(start, 64)
            counter = block.to_bytes(4, "little") + bytes(12)
            return Cipher(ChaCha20(key.reveal(), counter), None).encryptor(), skip


def expand(key: Secret, length: int, suite: Suite) -> bytes:
    """Return the first `length` bytes of the key's stream (2.6)."""
    return Stream(key, suite).take(length)


def apply_masks(
    words: NDArray[np.uint64], masks: Sequence[tuple[Secret, int]], suite: Suite, threads: int = 1
) -> None:
    """Add (sign +1) or subtract (sign -1) each key's stream to `words`, in place, mod 2^64 (7.2).

    Args:
        words: one-dimensional, C-contiguous uint64, writable; word i takes bytes 8i..8i+7 of each
            stream as a little-endian integer.
        masks: (key, sign) pairs, in any order.
        suite: the epoch's.
        threads: at most so many work at it; fewer where there is little to do.

    Raises:
        ParameterError: wrong array, key length or sign, more than 2^36 bytes, or no thread.
    """
    if words.ndim != 1 or words.dtype != np.uint64 or not words.flags.c_contiguous:
        raise ParameterError("masks apply to a one-dimensional contiguous array of uint64")
    if any(sign not in (1, -1) for _, sign in masks):
        raise ParameterError("the sign of a mask is +1 or -1")
    if any(len(key) != KEY_BYTES for key, _ in masks) or words.nbytes > LONGEST:
        raise ParameterError(f"a PRG key has {KEY_BYTES} bytes and makes at most {LONGEST}")
    useful = max(1, words.nbytes * len(masks) // LEAST_SPAN)
    over_spans(
        spans(len(words), min(threads, useful), _LANE),
        lambda span: _apply(words[span], masks, suite, 8 * span.start),
    )


def _apply(
    words: NDArray[np.uint64], masks: Sequence[tuple[Secret, int]], suite: Suite, start: int
) -> None:
    """Apply the streams from byte `start` on."""
    streams = [(Stream(key, suite, start), sign) for key, sign in masks]
    step = min(CHUNK_BYTES // 8, len(words))
    view = memoryview(bytearray(8 * step + _SLACK))
    mask = np.frombuffer(view, dtype=_WORD, count=step)
    for first in range(0, len(words), step):
        chunk = words[first : first + step]
        size = len(chunk)
        stretch = mask[:size]
        for stream, sign in streams:
            stream.take_into(8 * size, view)
            if sign == 1:
                np.add(chunk, stretch, out=chunk)
            else:
                np.subtract(chunk, stretch, out=chunk)


def add_mask(words: NDArray[np.uint64], key: Secret, suite: Suite) -> None:
    """Add the key's stream to `words` in place; see `apply_masks`."""
    apply_masks(words, ((key, 1),), suite)


def subtract_mask(words: NDArray[np.uint64], key: Secret, suite: Suite) -> None:
    """Subtract the key's stream from `words` in place; see `apply_masks`."""
    apply_masks(words, ((key, -1),), suite)
