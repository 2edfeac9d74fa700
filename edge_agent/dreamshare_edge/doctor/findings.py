"""What an examination finds: one line each, graver or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How grave a finding is; the gravest one is the command's exit code."""

    OK = 0
    WARNING = 1  # the agent runs; somebody should look at it
    ERROR = 2  # the agent cannot take part


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what, in one word: "clock", "certificate", "link", ...
        severity: how grave.
        seen: what was found.
        advice: what to do; "" where nothing has to be done.
    """

    subject: str
    severity: Severity
    seen: str
    advice: str = ""

    @property
    def sentence(self) -> str:
        """The finding as people read it."""
        mark = {Severity.OK: "ok", Severity.WARNING: "warn", Severity.ERROR: "FAIL"}
        advice = f"\n       -> {self.advice}" if self.advice else ""
        return f"{mark[self.severity]:>4}   {self.subject}: {self.seen}{advice}"

    def fields(self) -> dict[str, str]:
        """The finding as programs read it."""
        return {
            "subject": self.subject,
            "severity": self.severity.name.lower(),
            "seen": self.seen,
            "advice": self.advice,
        }


def gravest(findings: Iterable[Finding]) -> Severity:
    """Return the gravest severity; OK without any finding."""
    return max((each.severity for each in findings), default=Severity.OK)


def ok(subject: str, seen: str) -> Finding:
    """Nothing has to be done."""
    return Finding(subject, Severity.OK, seen)


def warning(subject: str, seen: str, advice: str) -> Finding:
    """Somebody should look at this."""
    return Finding(subject, Severity.WARNING, seen, advice)


def error(subject: str, seen: str, advice: str) -> Finding:
    """The agent cannot take part like this."""
    return Finding(subject, Severity.ERROR, seen, advice)
