"""SA-2 as a whole: no order of losses, repeats, delays, crashes and waits breaks a promise.

The rules are operations on `tests/sim/secagg/world.py`, where both ends are the real machines; its
`Watch` checks every effect and every disk. At the end the network is kind again: what runs must
come to an end, and a new epoch must work for everybody.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dreamshare_crypto.graph import Mode
from dreamshare_crypto.secagg.server_phases import ServerPhase
from dreamshare_crypto.suite import Suite
from tests.sim.secagg.disk import When
from tests.sim.secagg.operations import (
    Crash,
    Cut,
    Delay,
    Deliver,
    Drop,
    Duplicate,
    Finish,
    Mend,
    Open,
    Operation,
    Renew,
    Reorder,
    Replay,
    Settle,
    Sleep,
    Storm,
    Wait,
)
from tests.sim.secagg.watch import LATE, REPLAYED
from tests.sim.secagg.world import World, terms_of

PLACES = st.integers(0, 63)
DEVICES = st.integers(0, 7)
SEEDS = st.integers(0, 2**16)
COUNTS = st.integers(0, 100)
WHENS = st.sampled_from(When)
EPOCHS = 3
"""How many epochs a run may begin by unkindness; further ones begin when one is over."""


def busy(machine: Federation) -> bool:
    return machine.world.busy


def can_open(machine: Federation) -> bool:
    return machine.world.can_open


def is_over(machine: Federation) -> bool:
    return machine.world.server.phase is ServerPhase.ENDED


def is_waiting(machine: Federation) -> bool:
    return machine.world.server.phase not in (ServerPhase.READY, ServerPhase.ENDED)


def is_young(machine: Federation) -> bool:
    return machine.world.epoch < EPOCHS


def any_away(machine: Federation) -> bool:
    return not all(node.linked for node in machine.world.nodes)


class Federation(RuleBasedStateMachine):
    """Devices, an aggregator, and a network that does what it likes but forges nothing."""

    EXPECTED = LATE

    @initialize(
        n=st.integers(3, 8),
        bounded=st.booleans(),
        suite=st.sampled_from(Suite),
        ready=st.booleans(),
    )
    def begin(self, n: int, bounded: bool, suite: Suite, ready: bool) -> None:
        self.world = World(n, terms_of(suite, Mode.BOUNDED if bounded and n > 3 else Mode.AGREED))
        self.world.watch.expected = self.EXPECTED
        if ready:
            self.happen(Settle())

    def happen(self, *operations: Operation) -> None:
        self.world.apply(operations)

    # ---- a kind network ------------------------------------------------------------------------

    @precondition(busy)
    @rule(count=COUNTS)
    def deliver(self, count: int) -> None:
        self.happen(Deliver(count))

    @precondition(busy)
    @rule()
    def settle(self) -> None:
        self.happen(Settle())

    @precondition(can_open)
    @rule(count=COUNTS)
    def open(self, count: int) -> None:
        self.happen(Open(), Deliver(count))

    @precondition(can_open)
    @rule(device=DEVICES, writes=st.integers(1, 8), when=WHENS, keeps=st.booleans())
    def open_and_crash(self, device: int, writes: int, when: When, keeps: bool) -> None:
        self.happen(Open(), Crash(device, writes, when, keeps), Settle(), Mend(device))

    @precondition(can_open)
    @rule(device=DEVICES, count=COUNTS)
    def open_without(self, device: int, count: int) -> None:
        self.happen(Open(), Deliver(count), Cut(device, noticed=True), Settle(), Mend(device))

    @precondition(is_over)
    @rule()
    def renew(self) -> None:
        self.happen(Renew(), Settle())

    # ---- an unkind one ---------------------------------------------------------------------------

    @rule(seed=SEEDS, count=COUNTS, losses=st.integers(0, 25), repeats=st.integers(0, 100))
    def storm(self, seed: int, count: int, losses: int, repeats: int) -> None:
        self.happen(Storm(seed, count, losses, repeats))

    @precondition(can_open)
    @rule(seed=SEEDS, count=COUNTS, losses=st.integers(0, 25), repeats=st.integers(0, 100))
    def open_into_storm(self, seed: int, count: int, losses: int, repeats: int) -> None:
        self.happen(Open(), Storm(seed, count, losses, repeats))

    @precondition(busy)
    @rule(place=PLACES)
    def reorder(self, place: int) -> None:
        self.happen(Reorder(place))

    @precondition(busy)
    @rule(place=PLACES)
    def duplicate(self, place: int) -> None:
        self.happen(Duplicate(place))

    @precondition(busy)
    @rule(place=PLACES)
    def delay(self, place: int) -> None:
        self.happen(Delay(place))

    @precondition(busy)
    @rule(place=PLACES)
    def drop(self, place: int) -> None:
        self.happen(Drop(place))

    @precondition(busy)
    @rule(device=DEVICES)
    def finish(self, device: int) -> None:
        self.happen(Finish(device))

    @rule(device=DEVICES, noticed=st.booleans())
    def cut(self, device: int, noticed: bool) -> None:
        self.happen(Cut(device, noticed))

    @precondition(any_away)
    @rule(device=DEVICES)
    def mend(self, device: int) -> None:
        self.happen(Mend(device))

    # ---- power and time --------------------------------------------------------------------------

    @rule(device=DEVICES, writes=st.integers(0, 8), when=WHENS, keeps=st.booleans())
    def crash(self, device: int, writes: int, when: When, keeps: bool) -> None:
        self.happen(Crash(device, writes, when, keeps))

    @precondition(is_waiting)
    @rule()
    def wait(self) -> None:
        self.happen(Wait())

    @precondition(is_young)
    @rule(seconds=st.sampled_from([1, 30, 100, 90_000]))
    def sleep(self, seconds: int) -> None:
        self.happen(Sleep(seconds))

    @precondition(is_young)
    @rule()
    def kill_aggregator(self) -> None:
        self.happen(Renew())

    def teardown(self) -> None:
        if hasattr(self, "world"):
            terms = self.world.terms
            made = f"World({len(self.world.nodes)}, terms_of({terms.suite!r}, {terms.mode!r}))"
            note(f"{made}.apply({self.world.trace})")
            self.world.calm()


class LyingNetwork(Federation):
    """The same over a network that also replays what was ever sent, to anybody."""

    EXPECTED = REPLAYED

    @rule(old=st.integers(0, 999), device=DEVICES, place=st.none() | PLACES)
    def replay(self, old: int, device: int, place: int | None) -> None:
        self.happen(Replay(old, device, place))


SEARCH = not settings.default.derandomize
CHOSEN = settings(
    max_examples=1000 if SEARCH else 50,
    stateful_step_count=40,
    # Shrinking a run takes minutes, so only a search does it; the note says how to run it again.
    phases=tuple(Phase) if SEARCH else (Phase.explicit, Phase.reuse, Phase.generate),
)

MINUTES = pytest.mark.timeout(1800)  # fifteen seconds each on an idle core; a search takes minutes

TestFederation = MINUTES(Federation.TestCase)
TestFederation.settings = CHOSEN
TestLyingNetwork = MINUTES(LyingNetwork.TestCase)
TestLyingNetwork.settings = CHOSEN
