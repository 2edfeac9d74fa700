"""The aggregator's journal damaged, cut, shuffled or mixed up: it goes on, or says that it cannot.

Whatever the records say, `restore` raises NotRestorable at most, what it returns can be used to the
epoch's end without an error, and no sum comes out that was not published.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from dreamshare_crypto.graph import Mode
from dreamshare_crypto.secagg.events import (
    Acknowledging,
    Persist,
    Record,
    RecordKind,
    Returned,
    ServerEffect,
    Summed,
    Ticked,
)
from dreamshare_crypto.secagg.server import SecaggServer
from dreamshare_crypto.secagg.server_restore import NotRestorable
from tests.fuzz.recorded import TERMS, N
from tests.sim.secagg.federation import NOW, payload_of
from tests.sim.secagg.harness import Cohort

CASES = 150


@cache
def finished(mode: Mode) -> tuple[Cohort, tuple[Record, ...]]:
    """Return a cohort after two rounds, and its aggregator's records."""
    cohort = Cohort(N, TERMS[mode])
    cohort.set_up()
    for question in ("first", "second"):
        cohort.open(payload_of(question))
        cohort.pump()
    stored = [e.record for e in cohort.server_effects if isinstance(e, Persist)]
    return cohort, tuple(stored)


def restored(cohort: Cohort, records: Sequence[Record]) -> SecaggServer | None:
    entropy = cohort.federation.entropy.fork("restored")
    return SecaggServer.restore(cohort.aggregator, records, entropy, NOW + 1)


def damaged(records: Sequence[Record], chance: random.Random) -> list[Record]:
    """Return the records with one or two things wrong."""
    found = list(records)
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.randrange(len(found))
        body = bytearray(found[at].body)
        match chance.randrange(6):
            case 0 if body:
                body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
            case 1:
                del body[chance.randrange(len(body) + 1) :]
            case 2 if body:
                place = chance.randrange(len(body))
                body[place : place + 4] = chance.choice((b"\xff" * 4, bytes(4)))
            case 3 if len(found) > 1:
                del found[at]
                continue
            case 4:
                found.insert(chance.randrange(len(found) + 1), found[at])
                continue
            case 5:
                other = chance.randrange(len(found))
                found[at], found[other] = found[other], found[at]
                continue
        found[at] = Record(found[at].kind, bytes(body))
    return found


def to_the_end(cohort: Cohort, server: SecaggServer) -> list[ServerEffect]:
    """Let a restored machine go on, with devices that say nothing."""
    effects, now = list(server.resume(NOW + 1)), NOW + 2
    for party in cohort.parties:
        effects += server.handle(Returned(party.identity.id), now)
    while server.deadline is not None:
        now = max(now + 1, server.deadline)
        effects += server.handle(Acknowledging(), now)
        effects += server.handle(Ticked(), now)
    return effects


@pytest.mark.parametrize("mode", TERMS, ids=lambda mode: mode.name.lower())
def test_a_damaged_journal_raises_nothing_else(mode: Mode) -> None:
    cohort, records = finished(mode)
    published = [e.sums[0] for e in cohort.server_effects if isinstance(e, Summed)]
    chance, went_on = random.Random(63), 0
    for _ in range(CASES):
        kept = records[: chance.randrange(1, len(records) + 1)]
        try:
            server = restored(cohort, damaged(kept, chance))
        except NotRestorable:
            continue
        if server is None:
            continue
        went_on += 1
        for effect in to_the_end(cohort, server):
            if isinstance(effect, Summed):
                assert any(np.array_equal(effect.sums[0], sum_) for sum_ in published)
    assert went_on > CASES / 10


def test_a_device_that_dealt_and_is_in_no_roster() -> None:
    """It ended the aggregator with a KeyError, and so did every further start."""
    cohort, records = finished(Mode.AGREED)
    at = next(i for i, r in enumerate(records) if r.kind is RecordKind.SERVER_READY)
    took = max(i for i in range(at) if records[i].kind is RecordKind.SERVER_TOOK)
    body = bytearray(records[took].body)
    body[1] ^= 1  # the device's id
    broken = [*records[:took], Record(records[took].kind, bytes(body)), *records[took + 1 :]]
    with pytest.raises(NotRestorable, match="not in the roster"):
        restored(cohort, broken)


def test_a_stored_sum_that_is_not_the_published_one() -> None:
    """The sum of another round, well formed: it was handed over in the published one's place."""
    cohort, records = finished(Mode.AGREED)
    ends = [i for i, r in enumerate(records) if r.kind is RecordKind.SERVER_DONE]
    kept = list(records[: ends[1] + 1])
    sums = [i for i, r in enumerate(kept) if r.kind is RecordKind.SERVER_SUM]
    kept[sums[1]] = kept[sums[0]]
    with pytest.raises(NotRestorable):
        restored(cohort, kept)
