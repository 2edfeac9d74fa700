"""Every decoder: what it reads it writes back, and any other bytes raise MalformedError (M1)."""

from __future__ import annotations

from dataclasses import fields
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.secagg.events import Abandoned, Cancelled, Persist, Send, Stage
from dreamshare_crypto.secagg.memory import lasting
from tests.sim.secagg.decoders import RECORDS, decoders
from tests.sim.secagg.harness import Cohort

N, ROUNDS, WORDS = 4, 4, 3

DECODERS = decoders(N, ROUNDS, WORDS)


@cache
def run() -> tuple[dict[Stage, bytes], dict[int, bytes]]:
    """Return one genuine message of every stage and one genuine record of every kind."""
    cohort = Cohort(N)
    cohort.set_up()
    cohort.run_round()
    cohort.open()
    cohort.serve(Cancelled())
    cohort.pump()
    cohort.parties[0].handle(Abandoned(), cohort.now)
    messages = {e.stage: e.body for e in cohort.server_effects if isinstance(e, Send)}
    effects = [effect for party in cohort.parties for effect in party.effects]
    messages |= {e.stage: e.body for e in effects if isinstance(e, Send)}
    records = {e.record.kind: e.record.body for e in effects if isinstance(e, Persist)}
    left = lasting(e.record for e in effects if isinstance(e, Persist))
    records |= {record.kind: record.body for record in left}
    return messages, records


def test_every_stage_has_a_decoder() -> None:
    assert set(DECODERS) == set(Stage) - {Stage.REVEAL, Stage.SEED}
    assert set(run()[0]) == set(DECODERS)
    assert set(run()[1]) == set(RECORDS)


@pytest.mark.parametrize("stage", DECODERS)
def test_message_round_trip(stage: Stage) -> None:
    body = run()[0][stage]
    assert DECODERS[stage](body).encode() == body


@pytest.mark.parametrize("kind", RECORDS)
def test_record_round_trip(kind: int) -> None:
    body = run()[1][kind]
    record = RECORDS[kind].decode(body)
    assert record.encode() == body
    assert record.record().kind == kind
    assert fields(record)


@pytest.mark.parametrize("stage", DECODERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_changed_messages(stage: Stage, data: st.DataObject) -> None:
    """Cut, extended or with bytes replaced: read and written back as it is, or refused."""
    body = bytearray(run()[0][stage])
    how = data.draw(st.sampled_from(["cut", "extend", "replace"]))
    if how == "cut":
        body = body[: data.draw(st.integers(0, len(body) - 1))]
    elif how == "extend":
        body += data.draw(st.binary(min_size=1, max_size=8))
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = DECODERS[stage](bytes(body))
    except MalformedError:
        return
    assert how == "replace"  # every length but the right one is refused
    assert message.encode() == bytes(body)


@pytest.mark.parametrize("stage", DECODERS)
@settings(max_examples=25, deadline=None)
@given(raw=st.binary(max_size=300))
def test_random_bytes(stage: Stage, raw: bytes) -> None:
    try:
        message = DECODERS[stage](raw)
    except MalformedError:
        return
    assert message.encode() == raw


@pytest.mark.parametrize("kind", RECORDS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damaged_records(kind: int, data: st.DataObject) -> None:
    body = run()[1][kind]
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(MalformedError):
        RECORDS[kind].decode(body[:cut])
