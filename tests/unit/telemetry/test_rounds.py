"""Rounds put together from facts, metrics counted from them, spans made of them."""

from __future__ import annotations

from dreamshare.driver.trace import Fact, Heard, Reported, RoundBegan, Sent, Stored
from dreamshare.ids import PartyId, SessionId, TaskId
from dreamshare.protocol.outcomes import EpochEnded, EpochStarted, SumAbandoned, SumDone
from dreamshare_aggregator.telemetry.rounds import LiveRound, RoundStage, RoundWatch
from dreamshare_crypto.secagg.events import AbortReason, Stage

TASK = TaskId(b"t" * 16)
A, B, C = (PartyId(letter * 16) for letter in (b"a", b"b", b"c"))


def heard(device: PartyId, stage: Stage, at: float) -> Heard:
    return Heard(TASK, device, stage, 0, 10, at)


def sent(stage: Stage, at: float) -> Sent:
    return Sent(TASK, (A, B, C), stage, 0, at)


def done(at: float, *survivors: PartyId) -> Reported:
    return Reported(TASK, SumDone({}, 1.0, survivors, 3, "dream", 0), at)


def play(watch: RoundWatch, *facts: Fact) -> LiveRound:
    found = None
    for fact in facts:
        found = watch.take(fact) or found
    assert found is not None
    return found


BEGAN = RoundBegan(TASK, (A, B, C), 0, "dream", 0, 100.0)
ROUND: tuple[Fact, ...] = (
    BEGAN,
    heard(A, Stage.MASKED_INPUT, 101.0),
    heard(B, Stage.MASKED_INPUT, 102.0),
    sent(Stage.SURVIVORS, 103.0),
    heard(A, Stage.AGREE, 104.0),
    heard(B, Stage.AGREE, 104.5),
    sent(Stage.AGREE_SET, 105.0),
    heard(B, Stage.UNMASK_RESPONSE, 106.0),
)


def test_a_round_goes_through_its_stages() -> None:
    watch = RoundWatch()
    live = play(watch, *ROUND)
    assert live.stage is RoundStage.REVEAL
    assert (live.sent, live.agreed, live.opened) == ({A, B}, {A, B}, {B})
    assert watch.open_rounds() == (live,)
    over = play(watch, done(110.0, A, B))
    assert over is live
    assert (over.stage, over.survivors, over.ended) == (RoundStage.DONE, (A, B), 110.0)
    assert [(s.stage.value, s.seconds) for s in over.spans] == [
        ("collect", 3.0),
        ("agree", 2.0),
        ("reveal", 5.0),
    ]
    assert watch.open_rounds() == ()


def test_a_round_that_is_sent_again_to_one_who_came_back_is_the_same_round() -> None:
    watch = RoundWatch()
    first = play(watch, BEGAN)
    again = play(watch, RoundBegan(TASK, (A,), 0, "dream", 0, 101.0))
    assert again is first
    assert again.members == (A, B, C)


def test_late_messages_of_a_round_that_is_over_change_nothing() -> None:
    watch = RoundWatch()
    play(watch, *ROUND, done(110.0, A, B))
    assert watch.take(heard(C, Stage.MASKED_INPUT, 111.0)) is None
    assert watch.take(sent(Stage.SURVIVORS, 111.0)) is None


def test_a_round_that_is_given_up_says_why() -> None:
    watch = RoundWatch()
    gone = SumAbandoned(AbortReason.TOO_FEW_INPUTS, True, "dream", 0)
    live = play(watch, BEGAN, Reported(TASK, gone, 130.0))
    assert (live.stage, live.reason) == (RoundStage.ABANDONED, "too few inputs")


def test_bounded_mode_has_nothing_to_agree_on() -> None:
    watch = RoundWatch()
    live = play(
        watch,
        BEGAN,
        heard(A, Stage.MASKED_INPUT, 101.0),
        sent(Stage.SURVIVORS, 103.0),
        heard(A, Stage.UNMASK_RESPONSE, 104.0),
        done(105.0, A),
    )
    assert [(s.stage.value, s.seconds) for s in live.spans] == [("collect", 3.0), ("reveal", 2.0)]


def test_a_set_up_is_followed_and_a_cancelled_task_leaves_nothing_open() -> None:
    watch = RoundWatch()
    offer = Sent(TASK, (A, B, C), Stage.OFFER, None, 10.0)
    live = play(watch, offer, Heard(TASK, A, Stage.READY, None, 5, 11.0))
    assert (live.stage, live.number, live.sent) == (RoundStage.SETUP, None, {A})
    started = EpochStarted(SessionId(bytes(32)), (A, B), 8, 2, 0)
    assert play(watch, Reported(TASK, started, 12.0)).survivors == (A, B)
    failed = play(watch, offer, Reported(TASK, EpochEnded("too-few"), 13.0))
    assert (failed.stage, failed.reason) == (RoundStage.ABANDONED, "too-few")
    play(watch, offer)
    dropped = watch.drop(TASK, 20.0)
    assert dropped is not None
    assert dropped.reason == "cancelled"
    assert watch.open_rounds() == ()
    assert watch.drop(TASK, 21.0) is None
    assert watch.take(Stored(TASK, 1, 0.1, 22.0)) is None
