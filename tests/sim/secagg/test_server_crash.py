"""The aggregator's machine killed before each of its writes, restored from what was synced (9.8).

In profile C, agreed and bounded, and in profile K. The run must give the sums of an undisturbed
one, and every message that leaves twice must be the same bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest

from dreamshare_crypto.graph import Mode
from dreamshare_crypto.secagg.events import (
    Acknowledging,
    Persist,
    Record,
    RecordKind,
    Returned,
    RoundAbandoned,
    Send,
    ServerEffect,
    ServerInput,
    Stage,
    Summed,
)
from dreamshare_crypto.secagg.server import SecaggServer
from dreamshare_crypto.secagg.server_records import ROUND, SumRecord
from tests.sim.secagg.federation import make_terms, payload_of
from tests.sim.secagg.harness import Cohort, Keeps
from tests.sim.secagg.regular import regular_cohort, small_graphs

SAID_ONCE = (
    Stage.OFFER,
    Stage.ROSTER,
    Stage.SEED,
    Stage.ROUND_START,
    Stage.SURVIVORS,
    Stage.AGREE_SET,
    Stage.ROUND_RESULT,
)


class Killed(Exception):
    """The process is gone."""


class Restoring(Cohort):
    """A cohort whose aggregator dies before the write of this number, once."""

    dies_at = 0

    def start(self) -> None:
        self.records: list[Record] = []
        self.unsynced: list[Record] = []
        self.writes = 0
        self.said: defaultdict[tuple[Stage, bytes], set[bytes]] = defaultdict(set)
        super().start()

    def serve(self, event: ServerInput) -> tuple[ServerEffect, ...]:
        effects = super().serve(event)
        if self.unsynced and not isinstance(event, Acknowledging):
            effects += super().serve(Acknowledging())
            self._sync()
        return effects

    def take_server(self, effects: Iterable[ServerEffect]) -> tuple[ServerEffect, ...]:
        done: list[ServerEffect] = []
        try:
            for effect in effects:
                self._write(effect)
                done.append(effect)
        except Killed:
            super().take_server(done)
            self._restart()
            return tuple(done)
        return super().take_server(done)

    def _write(self, effect: ServerEffect) -> None:
        match effect:
            case Persist(record, sync):
                self.writes += 1
                if self.writes == self.dies_at:
                    raise Killed
                self.unsynced.append(record)
                if sync:
                    self._sync()
            case Send(stage, body) if stage in SAID_ONCE:
                assert not self.unsynced, f"{stage.name} leaves before its record"
                self.said[stage, body[:36] if stage is not Stage.OFFER else b""].add(body)
            case Summed():  # the owner merges: the round's records are not needed any more
                kept = [r for r in self.records if r.kind not in ROUND]
                self.records = kept

    def _sync(self) -> None:
        self.records += self.unsynced
        self.unsynced = []

    def _restart(self) -> None:
        self.unsynced = []
        self.down.clear()
        self.up.clear()
        entropy = self.federation.entropy.fork("after the kill")
        server = SecaggServer.restore(self.aggregator, self.records, entropy, self.now)
        if server is None:
            self.server = self.new_server(epoch=1)
            self.take_server(self.server.start(self.now))
            return
        self.server = server
        self.take_server(server.resume(self.now))
        for party in self.parties:
            self.serve(Returned(party.id))


def complete(mode: Mode) -> Restoring:
    shares = {"a_min_ppm": 1_000_000, "d_ppm": 250_000} if mode is Mode.BOUNDED else {}
    return Restoring(4, make_terms(rounds=3, mode=mode, **shares))


def regular() -> Restoring:
    cohort = regular_cohort(cls=Restoring, rounds=3)
    assert isinstance(cohort, Restoring)
    return cohort


@contextmanager
def nothing() -> Iterator[None]:
    with nullcontext():
        yield


WORLDS: dict[str, tuple[Callable[[], Restoring], Callable[[], object], int]] = {
    "agreed": (lambda: complete(Mode.AGREED), nothing, 1),
    "bounded": (lambda: complete(Mode.BOUNDED), nothing, 1),
    "regular": (regular, small_graphs, 7),
}
"""Who takes part, what has to be patched, and every how manieth write is tried."""


def two_rounds(cohort: Restoring) -> list[Summed]:
    """Set up and run two rounds; in the second the last device sends no vector."""
    last = len(cohort.parties) - 1
    lost: Keeps = lambda number, stage: (number, stage) != (last, Stage.MASKED_INPUT)  # noqa: E731
    cohort.set_up()
    for payload, keeps in (("first", lambda number, stage: True), ("second", lost)):
        before = len(cohort.server_effects)
        wanted = payload_of(payload)
        while cohort.outcome(before) is None:
            if cohort.server.open_round is None:
                cohort.open(wanted)
            cohort.pump(keeps)
            if cohort.outcome(before) is None and cohort.server.open_round is not None:
                cohort.pass_deadline(keeps)
    return [e for e in cohort.server_effects if isinstance(e, Summed)]


@pytest.mark.parametrize("world", WORLDS)
def test_killed_before_every_write(world: str) -> None:
    make, patched, stride = WORLDS[world]
    with patched():  # type: ignore[attr-defined]
        quiet = make()
        expected = two_rounds(quiet)
        assert len(expected) == 2
        for at in range(1, quiet.writes + 1, stride):
            cohort = make()
            cohort.dies_at = at
            sums = two_rounds(cohort)
            assert [summed.survivors for summed in sums] == [e.survivors for e in expected], at
            for summed, other in zip(sums, expected, strict=True):
                np.testing.assert_array_equal(summed.sums[0], other.sums[0])
            assert not any(isinstance(e, RoundAbandoned) for e in cohort.server_effects)
            doubles = {key[0].name for key, bodies in cohort.said.items() if len(bodies) > 1}
            assert not doubles, (at, doubles)
            assert not any(party.evidence() for party in cohort.parties)
            assert not any(party.refusals() for party in cohort.parties)


def test_the_newest_sum_holds_every_vector_and_is_none() -> None:
    cohort = complete(Mode.AGREED)
    cohort.set_up()
    cohort.open(payload_of("kept"))
    cohort.pump(lambda number, stage: stage is not Stage.AGREE)
    sums = [r for r in cohort.records if r.kind is RecordKind.SERVER_SUM]
    assert 1 <= len(sums) <= 4
    newest = SumRecord.decode(sums[-1].body)
    assert newest.members == frozenset(range(4))
    vectors = [party.sent(Stage.MASKED_INPUT)[0][72:-64] for party in cohort.parties]
    assert all(len(vector) == len(newest.total) for vector in vectors)
    assert newest.total not in vectors
