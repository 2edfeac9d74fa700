"""Work that divides: contiguous spans of it, each in a thread of its own.

Rules:
- how many threads is an argument, from whoever runs a machine; one means the calling thread alone;
- what comes out never depends on that number: spans touch different memory, or are put together in
  their order;
- threads live for one call. They pay where the work leaves Python for long enough: key streams and
  signatures do (OpenSSL), many small NumPy calls do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

from dreamshare_crypto.errors import ParameterError

T = TypeVar("T")

SIGNATURES_A_THREAD = 16
"""Signatures to check below which a further thread costs more than it saves: about 1 ms."""


def spans(length: int, pieces: int, multiple: int = 1) -> tuple[slice, ...]:
    """Divide 0..length-1 into at most `pieces` spans of nearly one size; none where `length` is 0.

    Args:
        length: >= 0.
        pieces: >= 1.
        multiple: every span but the last has a multiple of so many items.

    Raises:
        ParameterError: fewer than one piece.
    """
    if pieces < 1:
        raise ParameterError(f"{pieces} threads; at least 1 is needed")
    units = -(-length // multiple)
    cuts = [min(length, multiple * (units * i // pieces)) for i in range(pieces + 1)]
    return tuple(slice(start, stop) for start, stop in pairwise(cuts) if start < stop)


def over_spans(pieces: tuple[slice, ...], work: Callable[[slice], T]) -> list[T]:
    """Return `work(span)` of every span, in order; one thread a span, the first in the caller's.

    Raises:
        Exception: what the first span that failed, by position, raised; all have ended by then.
    """
    if len(pieces) < 2:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(len(pieces) - 1, thread_name_prefix="dreamshare-crypto") as pool:
        others = [pool.submit(work, piece) for piece in pieces[1:]]
        first = work(pieces[0])
        return [first, *(other.result() for other in others)]


def each(items: Sequence[T], check: Callable[[T], None], threads: int, least: int) -> None:
    """Call `check(item)` of every item, with at most `threads` and at least `least` items a thread.

    Raises:
        Exception: what the first item that failed, by position, raised.
    """

    def check_span(span: slice) -> None:
        for item in items[span]:
            check(item)

    over_spans(spans(len(items), min(threads, -(-len(items) // least)) or 1), check_span)
