"""Where a federation's sums come from: the one seam between torch functions and devices.

Rules:
- whoever answers has run one masked sum over the devices that it names, and nothing else;
- a question is asked once: the federation keeps what it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from dreamshare.algorithms.base import Question
from dreamshare.simulate.session import SimulatedSession
from dreamshare.updates import Array


@dataclass(frozen=True, slots=True)
class Answer:
    """One closed sum.

    Attributes:
        sums: over the survivors, by field.
        survivors: who is in them; their ids are public.
        roster: size of the epoch's roster.
    """

    sums: Mapping[str, Array]
    survivors: frozenset[bytes]
    roster: int


class Rounds(Protocol):
    """Answers questions of `autodiff/1`."""

    def ask(self, question: Question) -> Answer:
        """Return the sums of one round.

        Raises:
            ConfigError: the question is none of the session's terms.
            DreamshareError: there is no answer; the text says why.
        """
        ...


class SimulatedRounds:
    """Rounds of the real machines in this process, masks on."""

    def __init__(self, session: SimulatedSession) -> None:
        self._session = session

    def ask(self, question: Question) -> Answer:
        done = self._session.ask(question)
        count = len(done.survivors)
        sums = {name: array * count for name, array in done.mean.items()}
        return Answer(sums, frozenset(done.survivors), done.roster)
