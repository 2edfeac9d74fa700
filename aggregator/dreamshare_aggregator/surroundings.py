"""What an aggregator finds around it: time, entropy, threads, and how it is to behave.

Rules: values only, with defaults that suit a service; ranges are checked where they are given.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dreamshare.algorithms.catalog import algorithm_from
from dreamshare.binding import Lookup
from dreamshare.clock import Clock, SystemClock
from dreamshare.driver.aggregator import GRACE_S
from dreamshare.driver.trace import Trace, untraced
from dreamshare.errors import ConfigError
from dreamshare.transport.base import Listener
from dreamshare_aggregator.retention import Retention
from dreamshare_aggregator.turns import TurnSettings
from dreamshare_crypto.entropy import Entropy, SystemEntropy


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ShardCount(NamedTuple):
    """Shards that are here, and those that somebody keeps alive: their number when all is well."""

    here: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an aggregator finds around it; the defaults suit a service.

    Attributes:
        evidence: folder for contradictions that devices signed; None keeps none.
        capture: new file for everything that is received, for debugging; None writes none.
        lookup: where algorithms come from; the catalogue of this release by default.
        clock: what time it is.
        entropy: of task ids, nonces and session keys.
        threads: how many compute, 1 or more; the machine's processors by default.
        retention: how long what finished tasks leave behind is kept.
        may_stand_by: wait where another aggregator is active, instead of refusing to open.
        trace: is told what happens in every task, as facts without payloads, on the event loop.
        turns: how many tasks run at once, and for how long while others wait.
        grace_s: seconds that a device may be cut off before rounds go on without it.
        away_s: seconds, about, that a device which no task needs stays away; 0: it stays here.
        trunks: where shards of this aggregator come in; None: everything is one process.
        shards_wanted: how many of them somebody keeps alive, for those who watch; 0 or more.
    """

    evidence: Path | None = None
    capture: Path | None = None
    lookup: Lookup = algorithm_from
    clock: Clock = field(default_factory=SystemClock)
    entropy: Entropy = field(default_factory=SystemEntropy)
    threads: int = field(default_factory=_processors)
    may_stand_by: bool = False
    retention: Retention = Retention()
    trace: Trace = untraced
    turns: TurnSettings = TurnSettings()
    away_s: float = 0.0
    grace_s: float = GRACE_S
    trunks: Listener | None = None
    shards_wanted: int = 0

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"threads is {self.threads}; it must be 1 or more")
        if not 0 <= self.away_s <= 86_400:
            raise ConfigError(f"away_s is {self.away_s}; it must be 0 to 86,400 seconds")
