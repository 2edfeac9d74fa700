"""What a fuzz target is: bytes go in, and only documented errors are caught.

Rules:
- a target returns for whatever a peer may send, and raises for a defect: any other exception, a
  broken promise, or more time and memory than its input is worth (the caller watches these two);
- seeds are made when they are asked for, from golden frames or a simulated round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

Run = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to fuzz.

    Attributes:
        name: as in `make fuzz TARGET=...`.
        run: takes any bytes; what it lets through is a finding.
        seeds: returns inputs that reach deep.
    """

    name: str
    run: Run
    seeds: Callable[[], Sequence[bytes]]


class NotCanonical(AssertionError):
    """What was decoded encodes to other bytes: two messages would hash and sign differently."""


def canonical(
    decode: Callable[[bytes], T],
    encode: Callable[[T], bytes],
    refused: type[Exception] | tuple[type[Exception], ...],
) -> Run:
    """Return a target for a decoder: it raises `refused`, or what it read it writes back."""

    def run(raw: bytes) -> None:
        try:
            value = decode(raw)
        except refused:
            return
        if encode(value) != raw:
            raise NotCanonical(f"{len(raw)} bytes are read as {value!r} and written otherwise")

    return run


def refusing(
    decode: Callable[[bytes], object], refused: type[Exception] | tuple[type[Exception], ...]
) -> Run:
    """Return a target for a reader without a canonical form: it raises `refused` or succeeds."""

    def run(raw: bytes) -> None:
        try:
            decode(raw)
        except refused:
            return

    return run
