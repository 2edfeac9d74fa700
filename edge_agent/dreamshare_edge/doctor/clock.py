"""The clock, against everything authenticated that says what time it is.

Rules:
- no message of the protocol carries a time: what bounds the clock is what the federation signed
  (certificates of this device and of whoever answers, the revocation list) and what the device
  wrote itself; nobody else is asked;
- those bounds are wide: a clock that is wrong by an hour is within them, and harms nothing that
  the protocol does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dreamshare_edge.doctor.findings import Finding, error, ok, warning

SKEW_S = 300.0
"""Seconds that two clocks may differ by without a word."""

_ADVICE = "set the clock (NTP); certificates are refused while it is wrong"


@dataclass(frozen=True, slots=True)
class Span:
    """When something signed is valid, seconds since 1970.

    Attributes:
        name: of what was signed, as people read it.
        begin: not before.
        end: not after; None where the end says nothing of the clock.
    """

    name: str
    begin: float
    end: float | None


def look_at_clock(now: float, spans: Sequence[Span], written: float | None) -> Finding:
    """Return whether `now` can be the time.

    Args:
        now: what the clock says, seconds since 1970.
        spans: what was signed and is in force.
        written: when this device last wrote to its store, by its own clock; None: never.
    """
    for span in spans:
        if now < span.begin:
            text = f"the clock says {day(now)}, before {span.name} begins ({day(span.begin)})"
            return error("clock", text, _ADVICE)
    if written is not None and now + SKEW_S < written:
        text = f"the clock says {day(now)}, but the store was written on {day(written)}"
        advice = "set the clock (NTP); it went back, or was ahead when the agent ran last"
        return warning("clock", text, advice)
    begin = max((span.begin for span in spans), default=0.0)
    ends = [span.end for span in spans if span.end is not None and span.end > now]
    words = f"{day(now)} is possible: signatures put it after {day(begin)}"
    return ok("clock", words + (f" and before {day(min(ends))}" if ends else ""))


def last_written(store: Path) -> float | None:
    """Return when a file of the store was last written; None where there is none to be read."""
    try:
        return max((each.stat().st_mtime for each in store.rglob("*")), default=None)
    except OSError:
        return None


def day(moment: float) -> str:
    """Return a moment as people read it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
