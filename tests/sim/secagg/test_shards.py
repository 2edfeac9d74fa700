"""Vectors that come in over shards: one sum, whatever the spread, and what a dead shard costs."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from dreamshare_crypto.secagg.events import KeepEvidence, Returned, RoundAbandoned, Stage, Summed
from dreamshare_crypto.secagg.round_messages import MaskedInput
from dreamshare_crypto.secagg.shard_messages import GiveSum, Granted, PartialSum
from tests.sim.secagg.sharded import ROOT, Sharded


def check_sum(
    cohort: Sharded, outcome: object, numbers: Iterable[int] | None = None, round_: int = 0
) -> None:
    assert isinstance(outcome, Summed)
    chosen = list(range(len(cohort.parties)) if numbers is None else numbers)
    assert outcome.survivors == tuple(cohort.parties[i].id for i in chosen)
    assert np.allclose(outcome.sums[0], cohort.expected_sum(round_, chosen), atol=1e-9)


def collected(cohort: Sharded) -> None:
    """Open a round and move everything until all vectors are claimed and no sum was given."""
    cohort.open()
    while cohort.down:
        cohort.give(*cohort.down.pop(0))
    while cohort.up:
        cohort.arrive(*cohort.up.pop(0))


@pytest.mark.parametrize("shards", [0, 1, 2, 4])
def test_the_sum_does_not_depend_on_the_spread(shards: int) -> None:
    cohort = Sharded(5, shards)
    cohort.set_up()
    for round_ in range(2):
        check_sum(cohort, cohort.run_round(), round_=round_)


def test_devices_see_nothing_of_shards() -> None:
    """Every byte that leaves is the same: graph, contexts and signatures know no shards."""
    one, many = Sharded(5, 0), Sharded(5, 3)
    for cohort in (one, many):
        cohort.set_up()
        check_sum(cohort, cohort.run_round())
    assert one.sends() == many.sends()


def test_a_vector_that_comes_over_two_shards_is_in_the_sum_once() -> None:
    cohort = Sharded(4, 2, lambda number: 1)
    cohort.set_up()
    collected(cohort)
    cohort.arrive_at(2, 0, cohort.vector_of(0))
    cohort.arrive(0, Stage.MASKED_INPUT, cohort.vector_of(0))
    cohort.pump()
    check_sum(cohort, cohort.outcome())
    assert cohort.shards[2].holds == 0


def test_a_shard_that_dies_costs_its_devices_one_retry() -> None:
    cohort = Sharded(6, 2)
    cohort.set_up()
    collected(cohort)
    while cohort.line and not any(isinstance(said.message, GiveSum) for said in cohort.said):
        cohort.pump_one()
    cohort.kill(2)
    cohort.place = lambda number: 1 if number % 3 == 2 else number % 3
    cohort.pump()
    check_sum(cohort, cohort.outcome())
    assert not any(isinstance(e, RoundAbandoned) for e in cohort.server_effects)
    again = [len(party.sent(Stage.MASKED_INPUT)) for party in cohort.parties]
    assert again == [1, 1, 2, 1, 1, 2]
    assert cohort.parties[2].sent(Stage.MASKED_INPUT)[0] == cohort.vector_of(2)


def test_a_shard_that_dies_after_its_sum_costs_nothing() -> None:
    cohort = Sharded(6, 2)
    cohort.set_up()
    collected(cohort)
    cohort.mute = {1}
    cohort.pump()
    cohort.kill(2)
    cohort.pump()
    cohort.kill(1)
    cohort.place = lambda number: ROOT
    cohort.pump()
    check_sum(cohort, cohort.outcome())
    assert [len(party.sent(Stage.MASKED_INPUT)) for party in cohort.parties] == [1, 2, 1, 1, 2, 1]


def test_a_shard_that_gives_no_sum_is_not_waited_for_beyond_the_deadline() -> None:
    cohort = Sharded(6, 3, lambda number: 3 if number == 5 else number % 3)
    cohort.mute = {3}
    cohort.set_up()
    check_sum(cohort, cohort.run_round(), range(5))


def test_after_the_deadline_nobody_comes_in_any_more() -> None:
    cohort = Sharded(6, 2, lambda number: 1)
    cohort.mute = {1}
    cohort.set_up()
    cohort.open()
    held = []
    cohort.pump(lambda number, stage: number != 5 or stage is not Stage.MASKED_INPUT)
    held.append(cohort.vector_of(5))
    cohort.pass_deadline()  # shard 1 is asked for its sum
    cohort.arrive_at(2, 5, held[0])
    cohort.mute = set()
    partial = cohort.shards[1].give(next(s.message for s in cohort.said if is_give(s.message)))
    assert partial is not None
    cohort.line.append((1, partial))
    cohort.pump()
    check_sum(cohort, cohort.outcome(), range(5))


def is_give(message: object) -> bool:
    return isinstance(message, GiveSum)


def test_a_sum_of_others_than_were_granted_counts_for_nothing() -> None:
    cohort = Sharded(4, 1, lambda number: 1)
    cohort.set_up()
    collected(cohort)
    cohort.mute = {1}
    cohort.pump()
    asked = next(said.message for said in cohort.said if is_give(said.message))
    partial = cohort.shards[1].give(asked)
    assert partial is not None
    short = replace(partial, members=frozenset(sorted(partial.members)[1:]))
    cohort.mute = set()
    cohort.line.append((1, short))
    cohort.pump()  # everybody is asked again
    check_sum(cohort, cohort.outcome())
    assert [len(party.sent(Stage.MASKED_INPUT)) for party in cohort.parties] == [2, 2, 2, 2]


def test_the_root_goes_on_after_a_restart() -> None:
    cohort = Sharded(5, 2)
    cohort.set_up()
    collected(cohort)
    cohort.mute = {1, 2}
    cohort.pump()
    cohort.mute = set()
    cohort.restart_root()
    for party in cohort.parties:
        cohort.serve(Returned(party.id))
    cohort.pump()
    check_sum(cohort, cohort.outcome())


def test_what_no_device_signed_is_dropped_at_the_shard() -> None:
    cohort = Sharded(4, 1, lambda number: 1)
    cohort.set_up()
    collected(cohort)
    cohort.line = []
    shard = cohort.shards[1] = type(cohort.shards[1])()
    cohort.order_shards()
    body = bytearray(cohort.vector_of(0))
    body[80] ^= 1
    assert shard.take(cohort.parties[0].id, bytes(body)) is None
    assert shard.take(cohort.parties[1].id, cohort.vector_of(0)) is None
    assert shard.take(bytes(16), cohort.vector_of(0)) is None
    assert (shard.dropped, shard.holds) == (2, 0)


def test_two_vectors_of_one_device_are_evidence_wherever_they_came_in() -> None:
    cohort = Sharded(4, 2, lambda number: 1)
    cohort.set_up()
    collected(cohort)
    first = MaskedInput.decode(cohort.vector_of(0), 8 * cohort.terms.template[0].params.words)
    other = replace(first, vector=bytes(len(first.vector))).sign(cohort.parties[0].identity.signing)
    cohort.arrive_at(2, 0, other.encode())
    cohort.pump()
    evidence = [e for e in cohort.server_effects if isinstance(e, KeepEvidence)]
    assert [e.device for e in evidence] == [cohort.parties[0].id]
    check_sum(cohort, cohort.outcome())


def test_an_answer_about_an_earlier_round_changes_nothing() -> None:
    cohort = Sharded(4, 1, lambda number: 1)
    cohort.set_up()
    collected(cohort)
    order = cohort.server.collecting
    shard = cohort.shards[1]
    assert order is not None
    stale = Granted(order.session, order.round + 7, cohort.parties[0].id, granted=False)
    shard.decide(stale)
    assert shard.holds == 4
    assert shard.give(GiveSum(order.session, order.round + 7)) is None
    cohort.pump()
    check_sum(cohort, cohort.outcome())


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_to_shards_the_sum_is_exact(seed: int) -> None:
    """Devices move and repeat themselves, shards die and come, in any order."""
    rng = random.Random(seed)
    cohort = Sharded(5, 3, lambda number: rng.choice([ROOT, *cohort.shards]))
    cohort.set_up()
    collected(cohort)
    for _ in range(40):
        match rng.randrange(5):
            case 0 if cohort.shards and rng.random() < 0.4:
                cohort.kill(rng.choice(list(cohort.shards)))
            case 1 if cohort.server.collecting is not None:
                number = rng.randrange(5)
                cohort.arrive(number, Stage.MASKED_INPUT, cohort.vector_of(number))
            case 2 if cohort.line:
                cohort.line.append(cohort.line.pop(0)) if rng.random() < 0.2 else None
            case _:
                cohort.pump_one()
    cohort.pump()
    for _ in range(4):
        if cohort.outcome() is None:
            cohort.pass_deadline()
    check_sum(cohort, cohort.outcome())


def test_a_partial_sum_of_the_wrong_length_counts_for_nothing() -> None:
    cohort = Sharded(4, 1, lambda number: 1)
    cohort.set_up()
    collected(cohort)
    cohort.mute = {1}
    cohort.pump()
    order = cohort.server.collecting
    assert order is not None
    members = frozenset(party.id for party in cohort.parties)
    cohort.mute = set()
    cohort.line.append((1, PartialSum(order.session, order.round, members, bytes(8))))
    cohort.pump()
    check_sum(cohort, cohort.outcome())
