"""Profile K for tests: as it is from 129 devices on, and in small.

Rules:
- `regular_terms` and `ALLOWED` are the real thing; a cohort of 129 takes seconds;
- `small_graphs` replaces the finder by a table of one row, so that 20 devices make a random graph:
  8 neighbours, t = 6, 9 witnesses of whom 6 sign, 3 seeders. Nothing else is replaced, and the
  relations that the protocol rests on hold: 2t > k + t1 with one colluder, 2q > K + 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dreamshare_crypto import graph
from dreamshare_crypto.finder import Committee, Degree
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import Profile
from dreamshare_crypto.secagg.once import Once
from dreamshare_crypto.secagg.terms import EpochTerms
from tests.sim.secagg.federation import make_terms
from tests.sim.secagg.harness import Cohort

ALLOWED = Floor(profiles=(Profile.COMPLETE, Profile.REGULAR))
SMALL = 20


@contextmanager
def small_graphs() -> Iterator[None]:
    """Let rosters of 10 devices and more have a random graph."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "LARGEST_COMPLETE", 9)
        patch.setattr(graph, "find_degree", lambda expected: Degree(8, 6))
        patch.setattr(graph, "find_committee", lambda expected: Committee(9, 6))
        patch.setattr(graph, "find_seeders", lambda expected: 3)
        yield


def regular_terms(**changes: int) -> EpochTerms:
    """Return terms of profile K, 5 % colluders and 20 % dropouts.

    For n = 20: A_min = 16, u_min = ceil(0.8 * 16) = 13.
    """
    return make_terms(**{"n_max": 200, "profile": Profile.REGULAR, "delta_ppm": 200_000, **changes})


def regular_cohort(n: int = SMALL, cls: type[Cohort] = Cohort, **changes: int) -> Cohort:
    """Return a cohort whose set-up has not begun; its devices share what they find out."""
    return cls(n, regular_terms(**changes), ALLOWED, once=Once.shared())
