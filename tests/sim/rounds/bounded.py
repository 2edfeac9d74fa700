"""A world in bounded mode."""

from __future__ import annotations

from dreamshare.protocol.messages import Cohort
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import Mode
from tests.sim.rounds.toy import Toy
from tests.sim.rounds.world import World


def bounded_world(toy: Toy | None = None) -> World:
    """Ten devices in bounded mode: a = 1, t = 6, A_min = 9, d = 1, E = 8 (docs 4.5)."""
    floor = Floor(modes=(Mode.AGREED, Mode.BOUNDED))
    return World(10, Cohort(10, 10, dropouts=0.1), toy, floor=floor)
