"""What a task's driver tells those who watch: every stage of a round, and no payload."""

from __future__ import annotations

from dataclasses import fields

from dreamshare.driver.trace import Fact, Heard, Reported, RoundBegan, Sent, Stored
from dreamshare.protocol.outcomes import SumDone
from dreamshare_crypto.secagg.events import Stage as Sa2Stage
from tests.unit.driver.stage import Stage


def watched() -> Stage:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            await stage.run_task()

    stage.play(play())
    return stage


def test_a_round_is_told_stage_by_stage() -> None:
    stage = watched()
    began = [fact for fact in stage.facts if isinstance(fact, RoundBegan)]
    assert [fact.round for fact in began] == [0, 1, 2]  # the toy asks for three sums
    assert all(fact.task == stage.task and fact.step for fact in began)
    assert all(set(fact.devices) == {h.id for h in stage.handsets} for fact in began)

    first, second = (stage.facts.index(fact) for fact in began[:2])
    order: list[str] = []
    for fact in stage.facts[first:second]:
        name = fact.stage.name if isinstance(fact, Heard | Sent) else type(fact).__name__
        if not isinstance(fact, Stored) and name not in order:  # stages overlap; they begin in turn
            order.append(name)
    assert order == [
        "RoundBegan",
        "MASKED_INPUT",
        "SURVIVORS",
        "AGREE",
        "AGREE_SET",
        "UNMASK_RESPONSE",
        "ROUND_RESULT",
        "Reported",
    ]
    inputs = [
        fact
        for fact in stage.facts[first:second]
        if isinstance(fact, Heard) and fact.stage is Sa2Stage.MASKED_INPUT
    ]
    assert {fact.device for fact in inputs} == {h.id for h in stage.handsets}
    assert {fact.round for fact in inputs} == {0}
    assert all(fact.size > 0 for fact in inputs)


def test_outcomes_and_durable_writes_are_told_in_order_of_time() -> None:
    stage = watched()
    told = [fact.outcome for fact in stage.facts if isinstance(fact, Reported)]
    assert [outcome for outcome in told if isinstance(outcome, SumDone)] == stage.sums
    assert any(isinstance(fact, Stored) and fact.records > 0 for fact in stage.facts)
    moments = [fact.at for fact in stage.facts]
    assert moments == sorted(moments)


def test_a_fact_has_no_room_for_a_payload() -> None:
    for kind in (Heard, Sent, RoundBegan, Stored):
        assert not [field.name for field in fields(kind) if field.type in ("bytes", "object")]


def test_a_watcher_sees_nothing_of_what_was_received() -> None:
    stage = watched()
    bodies = [body for _, _, body in stage.seen if len(body) >= 32]
    assert bodies
    told = repr([fact for fact in stage.facts if not isinstance(fact, Reported)])
    assert not [body for body in bodies if body.hex() in told or repr(body)[2:-1] in told]


def test_the_kinds_are_all_there_is() -> None:
    seen = {type(fact) for fact in watched().facts}
    assert seen == set(Fact.__args__)  # type: ignore[attr-defined]
