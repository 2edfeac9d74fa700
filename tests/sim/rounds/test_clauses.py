"""Every clause of the owner's policy refuses what lies outside it, with a reason of its own.

One entry of `REFUSALS` per field of `Policy`, but for the `SILENT` ones: a field without an entry
fails. What is refused goes through the device's own machines and ends in the outcome that an app
sees and the line that is logged.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dreamshare.algorithms.base import Disclosure
from dreamshare.clock import ManualClock
from dreamshare.driver.work import Workbench, WorkSettings
from dreamshare.ids import TaskId
from dreamshare.protocol.events import Compute, Computed, ComputeFailed
from dreamshare.protocol.messages import Declined
from dreamshare.protocol.outcomes import RoundDeclined
from dreamshare.protocol.permits import Permits, refusal_of
from dreamshare.protocol.plan import RoundPlan
from dreamshare.transport.tap import ByteCounter
from dreamshare_crypto.accounting import Charge
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg import epoch_checks, round_checks
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.refusals import EpochRefused, RoundRefused
from dreamshare_crypto.secagg.rollback import Numbers, check_numbers
from dreamshare_edge.agent import log_outcome
from dreamshare_edge.conditions import Conditions, ManualConditions
from dreamshare_edge.desk import AgentPermits
from dreamshare_edge.policy import Policy
from dreamshare_edge.spending import Spending
from dreamshare_edge.store import FileStore
from tests.sim.rounds.toy import NAME
from tests.sim.rounds.world import World
from tests.sim.secagg.federation import NOW

TASK = TaskId(bytes(16))
PLAN = RoundPlan(NAME, "sum", b"{}")
EVALUATION = RoundPlan("autodiff/1", "logistic/1:value", b"{}")
AWAY = Conditions(charging=False, unmetered=False, idle=False, battery=10, minute=9 * 60)
Reason = tuple[RefusalCode, str]


@dataclasses.dataclass
class Message:
    """The fields that a check looks at."""

    round: int = 3
    active: frozenset[int] = frozenset({1, 2})
    payload_hash: bytes = bytes(32)
    params: object = None
    version: int = 1
    min_version: int = 1
    aggregator: object = None

    @property
    def id(self) -> bytes:
        return bytes(16)


class Owner:
    """One owner's device: what refuses, by the way that leads there."""

    def __init__(self, folder: Path, policy: Policy) -> None:
        self.folder = folder
        self.disclosure: Disclosure | None = None
        self.policy = policy
        self.floor = policy.floor()

    def permits(self, store: FileStore, conditions: Conditions) -> Permits:
        spending = Spending(store, ByteCounter(), ManualClock(NOW))
        return AgentPermits(
            (NAME, EVALUATION.algorithm),
            self.policy,
            ManualConditions(conditions),
            spending,
            self.shown,
        )

    def by_program(self) -> Reason:
        """A question of autodiff/1."""
        return self.by_plan(plan=EVALUATION)

    def by_plan(
        self,
        conditions: Conditions = AWAY,
        rounds: int = 0,
        used: int = 0,
        plan: RoundPlan = PLAN,
    ) -> Reason:
        """A plan that arrives in a round."""
        with FileStore(self.folder / "store") as store:
            store.charge(NOW, rounds, used)
            reason = refusal_of(self.permits(store, conditions), plan)
        assert reason is not None, "it was permitted"
        return reason

    def shown(self, plan: RoundPlan) -> Disclosure | None:
        return self.disclosure

    def by_disclosure(self, captions: int, least: int) -> Reason:
        """A plan whose step shows the aggregator captions."""
        self.disclosure = Disclosure(captions, least)
        return self.by_plan()

    def by_offer(self) -> Reason:
        """An epoch that is offered."""
        world = World(floor=self.floor)
        world.start()
        device = world.devices[0]
        while not any(isinstance(message, Declined) for message in device.sent):
            assert world.step(), "it was not declined"
        (outcome,) = (each for each in device.outcomes if isinstance(each, RoundDeclined))
        return outcome.code, outcome.text

    def by_check(self, check: Callable[[], None]) -> Reason:
        """A check of the machine's own."""
        try:
            check()
        except (EpochRefused, RoundRefused) as refused:
            return refused.code, str(refused)
        raise AssertionError("it was not refused")

    def by_turn(self) -> Reason:
        """A round that waits while the device computes for another task."""
        return asyncio.run(self._turn())

    async def _turn(self) -> Reason:
        clock, found = ManualClock(NOW), asyncio.get_running_loop().create_future()
        settings = WorkSettings(self.policy.tasks_at_once, self.policy.wait_for_turn_s)
        bench = Workbench(
            _Endless(), lambda task, result: found.set_result(result), clock, settings
        )
        for number in (1, 2):
            bench.start(TaskId(bytes([number]) * 16), Compute(bytes(32), PLAN, (), 1.0))
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)  # until the second waits for its turn
        clock.advance_to(NOW + self.policy.wait_for_turn_s)
        result: Computed | ComputeFailed = await found
        for task in bench.running:
            task.cancel()
        assert isinstance(result, ComputeFailed)
        assert result.code is not None
        return result.code, result.text


class _Endless:
    async def compute(self, task: TaskId, order: Compute) -> object:
        return await asyncio.get_running_loop().create_future()

    async def learn(self, task: TaskId, order: object) -> None:
        raise AssertionError


def _fresh(owner: Owner) -> Reason:
    memory = Memory()
    for draw in range(owner.policy.draws):
        memory.note_answer(bytes([draw + 1]) * 32, b"base", NOW)
    return owner.by_check(
        lambda: round_checks.check_start_fresh(Message(), b"base", memory, owner.floor)  # type: ignore[arg-type]
    )


def _monotone(owner: Owner) -> Reason:
    last = Message(active=frozenset({1}))
    return owner.by_check(
        lambda: round_checks.check_start_monotone(Message(), last, owner.floor)  # type: ignore[arg-type]
    )


def _change(owner: Owner) -> Reason:
    before, now = frozenset({b"a", b"b", b"c"}), frozenset({b"a", b"b"})
    return owner.by_check(lambda: round_checks.check_start_change(now, before, owner.floor, 3))


def _version(owner: Owner) -> Reason:
    offer = Message(aggregator=Message())
    return owner.by_check(lambda: epoch_checks.check_offer_version(offer, owner.floor, 2))  # type: ignore[arg-type]


def _anchor(owner: Owner) -> Reason:
    resume = owner.policy.resume_without_anchor
    return owner.by_check(lambda: check_numbers(Numbers(5, None, resume)))


def _budget(owner: Owner) -> Reason:
    """A round whose noise is enough at the default delta and not at this one."""
    charge = Charge(variance=100.0, l2=1.0, l1=3.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(round_checks, "sensitivity", lambda params: charge)
        return owner.by_check(
            lambda: round_checks.check_start_budget(Message(), Memory(), owner.floor, NOW)  # type: ignore[arg-type]
        )


@dataclasses.dataclass(frozen=True)
class Case:
    """One clause: what the owner sets, the way to its refusal, and the words of the reason."""

    policy: Policy
    way: Callable[[Owner], Reason]
    code: RefusalCode
    words: str


O1, S6, S7 = RefusalCode.O1, RefusalCode.S6, RefusalCode.S7
REFUSALS: dict[str, Case] = {
    "least_cohort": Case(Policy(least_cohort=9), Owner.by_offer, O1, "a cohort of 3; 9 asked"),
    "gamma": Case(Policy(gamma=0.33), Owner.by_offer, O1, "gamma .* ppm; 330000 asked"),
    "profiles": Case(Policy(profiles=("regular",)), Owner.by_offer, O1, "profile 1 is not allowed"),
    "sigma": Case(Policy(sigma=128), Owner.by_offer, O1, "sigma 64 bits; 128 asked"),
    "suites": Case(Policy(suites=("chacha",)), Owner.by_offer, O1, "suite 1 is not allowed"),
    "modes": Case(Policy(modes=("bounded",)), Owner.by_offer, O1, "mode 1 is not allowed"),
    "algorithms": Case(
        Policy(algorithms=("evaluate/1",)), Owner.by_plan, S6, "computes nothing, not toy/1"
    ),
    "programs": Case(
        Policy(programs=("logistic/1:vjp",)), Owner.by_program, S6, "not name logistic/1:value"
    ),
    "refused_steps": Case(
        Policy(refused_steps=(f"{NAME}:sum",)), Owner.by_plan, S6, "the step sum .*refused_steps"
    ),
    "captions": Case(
        Policy(),
        lambda o: o.by_disclosure(2, 9),
        S6,
        "up to 2 captions .*; the policy's captions a",
    ),
    "captions_least": Case(
        Policy(captions=2), lambda o: o.by_disclosure(2, 4), S6, "captions_least asks for 5"
    ),
    "rounds_per_day": Case(
        Policy(rounds_per_day=4), lambda o: o.by_plan(rounds=4), S6, "rounds_per_day allows 4"
    ),
    "bytes_per_day": Case(
        Policy(bytes_per_day=99), lambda o: o.by_plan(used=99), S6, "bytes_per_day allows 99"
    ),
    "epsilon_per_month": Case(
        Policy(epsilon_per_month=1.0), Owner.by_offer, O1, "no noise, .* a privacy budget"
    ),
    "delta": Case(
        Policy(epsilon_per_month=0.6, delta=1e-12), _budget, S6, "budget is spent: .* epsilon to"
    ),
    "min_noise": Case(Policy(min_noise=0.5), Owner.by_offer, O1, "noise of 0 .*; 0.5 is asked"),
    "tasks_at_once": Case(Policy(tasks_at_once=1), Owner.by_turn, S6, "computed for other tasks"),
    "wait_for_turn_s": Case(Policy(wait_for_turn_s=7), Owner.by_turn, S6, "for 7 seconds"),
    "on_charger": Case(Policy(on_charger=True), Owner.by_plan, S6, "on_charger .* is not on ext"),
    "unmetered": Case(Policy(unmetered=True), Owner.by_plan, S6, "unmetered .* is not on an unm"),
    "idle": Case(Policy(idle=True), Owner.by_plan, S6, "sets idle and the device is not idle"),
    "battery_floor": Case(Policy(battery_floor=40), Owner.by_plan, S6, "battery_floor .* above 40"),
    "quiet_hours": Case(
        Policy(quiet_hours=("08:00-22:00",)), Owner.by_plan, S6, "quiet_hours .* outside of them"
    ),
    "unknown_allows": Case(
        Policy(on_charger=True, unknown_allows=False),
        lambda o: o.by_plan(Conditions()),
        S6,
        "cannot tell whether it is on external power",
    ),
    "draws": Case(Policy(draws=2), _fresh, S7, "answered 2 times"),
    "monotone_active": Case(Policy(), _monotone, S7, "a device that was left out is back"),
    "least_change": Case(Policy(least_change=2), _change, S7, "1 active devices changed"),
    "version_resets": Case(Policy(), _version, O1, "version 1 after version 2"),
    "resume_without_anchor": Case(Policy(), _anchor, RefusalCode.J1, "the rollback anchor is miss"),
    "min_bits": Case(Policy(min_bits=20), Owner.by_offer, O1, "bits; 20 to 20 are allowed"),
    "max_clip": Case(Policy(max_clip=0.01), Owner.by_offer, O1, "a clip of .*; at most 0.01"),
    "max_vector_words": Case(Policy(max_vector_words=2), Owner.by_offer, O1, "words; at most 2"),
}

SILENT = {"least_class_count"}
"""Clauses that refuse nothing: zeros are answered (tests/algorithms/test_moments_guard.py)."""

RELAXED: dict[str, Policy] = {
    "programs": Policy(programs=("logistic/1:value",)),
    "version_resets": Policy(version_resets=("00" * 16,)),
    "resume_without_anchor": Policy(resume_without_anchor=True),
    "monotone_active": Policy(monotone_active=False),
    "unknown_allows": Policy(on_charger=True, unknown_allows=True),
    "delta": Policy(epsilon_per_month=0.6),
    "captions": Policy(captions=2),
    "captions_least": Policy(captions=2, captions_least=4),
}
"""Clauses that refuse by default: what the same way finds nothing wrong with."""

SAME_REASON = {frozenset({"tasks_at_once", "wait_for_turn_s"})}
"""A round waits for its turn because there is none, and is declined because it waited."""


def test_every_clause_has_its_refusal() -> None:
    assert REFUSALS.keys() | SILENT == {field.name for field in dataclasses.fields(Policy)}


@pytest.mark.parametrize("clause", REFUSALS)
def test_a_clause_refuses_with_its_reason(
    clause: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = REFUSALS[clause]
    code, text = case.way(Owner(tmp_path, case.policy))
    assert code is case.code
    assert re.search(case.words, text), text
    with caplog.at_level(logging.WARNING, "dreamshare_edge"):
        log_outcome(RoundDeclined(TASK, 3, code, text))
    (record,) = caplog.records
    assert text in record.getMessage()
    assert code.value in record.getMessage()


@pytest.mark.parametrize("clause", RELAXED)
def test_what_the_owner_allows_is_not_refused(clause: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"not refused|was permitted"):
        REFUSALS[clause].way(Owner(tmp_path, RELAXED[clause]))


def test_no_two_clauses_give_the_same_reason(tmp_path: Path) -> None:
    reasons: dict[str, str] = {}
    for clause, case in REFUSALS.items():
        _, text = case.way(Owner(tmp_path / clause, case.policy))
        words = re.sub(r"[\d.]+", "#", text)
        twin = reasons.setdefault(words, clause)
        assert twin == clause or {twin, clause} in SAME_REASON, (twin, clause)
