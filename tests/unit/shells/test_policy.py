"""Every clause of the policy, at its edge."""

from __future__ import annotations

import math

import pytest

from dreamshare.errors import BudgetExhausted, ConfigError, PrivacyError
from dreamshare.protocol.plan import RoundPlan
from dreamshare.settings import default_text, read_settings
from dreamshare_crypto.floor import Floor
from dreamshare_edge.budgets import Used
from dreamshare_edge.conditions import Conditions, ManualConditions
from dreamshare_edge.policy import Policy

PLAN = RoundPlan("codream/1", "dream", b"{}")
ANYWHERE = Conditions()


def test_the_default_floor_is_the_protocols() -> None:
    expected = Floor()
    floor = Policy().floor()
    assert floor.least_cohort == expected.least_cohort == 3
    assert floor.gamma_ppm == expected.gamma_ppm == 50_000
    assert floor.sigma == expected.sigma == 64
    assert floor.modes == expected.modes
    assert floor.draws == expected.draws
    assert floor.monotone_active is True


def test_the_floor_follows_the_policy() -> None:
    floor = Policy(least_cohort=8, gamma=0.1, draws=1, max_clip=4.0, min_bits=12).floor()
    assert (floor.least_cohort, floor.gamma_ppm, floor.draws) == (8, 100_000, 1)
    assert (floor.max_clip, floor.min_bits) == (4.0, 12)


def test_suites_modes_and_membership_reach_the_floor() -> None:
    policy = Policy(
        suites=("chacha",), modes=("agreed", "bounded"), least_change=3, version_resets=("0f" * 16,)
    )
    floor = policy.floor()
    assert (floor.suites, floor.modes, floor.least_change) == ((2,), (1, 2), 3)
    assert floor.version_resets == (b"\x0f" * 16,)
    default = Policy().floor()
    assert (default.suites, default.modes) == ((1, 2), (1,))
    assert (default.least_change, default.version_resets) == (0, ())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"suites": ()}, "suites"),
        ({"suites": ("aes", "des")}, "list of some of aes, chacha"),
        ({"modes": ("free",)}, "list of some of agreed, bounded"),
        ({"least_change": -1}, "least_change"),
        ({"least_class_count": 0}, "least_class_count"),
        ({"version_resets": ("0F" * 16,)}, "32 hex digits"),
        ({"version_resets": ("0f",)}, "32 hex digits"),
    ],
)
def test_what_makes_no_sense_is_the_owners_error(change: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Policy(**change)  # type: ignore[arg-type]


def test_the_default_policy_admits_a_round_anywhere() -> None:
    Policy().admit(PLAN, ANYWHERE, Used(10_000, 10**12))


def test_only_named_algorithms_run() -> None:
    policy = Policy(algorithms=("fedavg/1",))
    with pytest.raises(ConfigError, match="does not name codream/1; its algorithms are fedavg/1"):
        policy.admit(PLAN, ANYWHERE, Used())
    Policy(algorithms=("codream/1",)).admit(PLAN, ANYWHERE, Used())


def test_a_step_can_be_refused_alone() -> None:
    policy = Policy(refused_steps=("codream/1:labels",))
    policy.admit(PLAN, ANYWHERE, Used())
    with pytest.raises(ConfigError, match="refuses the step labels"):
        policy.admit(RoundPlan("codream/1", "labels", b"{}"), ANYWHERE, Used())


def test_the_day_has_so_many_rounds_and_not_one_more() -> None:
    policy = Policy(rounds_per_day=400)
    policy.admit(PLAN, ANYWHERE, Used(399))
    with pytest.raises(BudgetExhausted, match="allows 400"):
        policy.admit(PLAN, ANYWHERE, Used(400))


def test_the_budget_and_the_least_noise_are_the_floors() -> None:
    """What a round costs is known where its parameters are: in the machine, not here."""
    floor = Policy(epsilon_per_month=8.0, delta=1e-5, min_noise=0.5).floor()
    assert (floor.epsilon, floor.delta, floor.min_noise) == (8.0, 1e-5, 0.5)
    assert math.isinf(Policy().floor().epsilon)


@pytest.mark.parametrize("clause", ["on_charger", "unmetered"])
@pytest.mark.parametrize("unknown_allows", [False, True])
@pytest.mark.parametrize("state", [False, None, True])
def test_conditions(clause: str, unknown_allows: bool, state: bool | None) -> None:
    policy = Policy(
        on_charger=clause == "on_charger",
        unmetered=clause == "unmetered",
        unknown_allows=unknown_allows,
    )
    surroundings = ManualConditions()
    surroundings.change(Conditions(charging=state, unmetered=state))
    if state or (state is None and unknown_allows):
        policy.admit(PLAN, surroundings.read(), Used())
    else:
        with pytest.raises(PrivacyError, match=f"sets {clause}"):
            policy.admit(PLAN, surroundings.read(), Used())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"least_cohort": 2}, "least_cohort is 2; it must be 3 or more"),
        ({"gamma": 0.4}, "gamma is 0.4; it must be 0 to 0.33"),
        ({"sigma": 39}, "sigma"),
        ({"rounds_per_day": 0}, "rounds_per_day"),
        ({"epsilon_per_month": 0.0}, "epsilon_per_month"),
        ({"draws": 0}, "draws"),
        ({"min_bits": 7}, "min_bits"),
        ({"max_clip": float("inf")}, "max_clip"),
        ({"max_vector_words": 0}, "max_vector_words"),
        ({"programs": ("logistic/1",)}, "must read 'name/1:transform'"),
        ({"refused_steps": ("labels",)}, "must read 'algorithm:step'"),
    ],
)
def test_values_out_of_range_are_refused_at_once(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Policy(**change)  # type: ignore[arg-type]


def test_the_policy_is_a_documented_settings_table() -> None:
    text = default_text(Policy)
    assert read_settings(Policy, text, source="policy.toml") == Policy()
    assert "# rounds_per_day = 400" in text


@pytest.mark.parametrize(
    ("hours", "minute", "quiet"),
    [
        ("08:00-22:00", 8 * 60, True),
        ("08:00-22:00", 22 * 60, False),
        ("08:00-22:00", 7 * 60 + 59, False),
        ("22:00-06:00", 23 * 60, True),
        ("22:00-06:00", 0, True),
        ("22:00-06:00", 6 * 60, False),
    ],
)
def test_quiet_hours(hours: str, minute: int, quiet: bool) -> None:
    policy = Policy(quiet_hours=("03:00-03:01", hours))
    if quiet:
        with pytest.raises(PrivacyError, match="quiet_hours"):
            policy.check_conditions(Conditions(minute=minute))
    else:
        policy.check_conditions(Conditions(minute=minute))


def test_an_unknown_hour_is_quiet_unless_unknown_allows() -> None:
    with pytest.raises(PrivacyError, match="cannot tell whether it is outside of them"):
        Policy(quiet_hours=("22:00-06:00",)).check_conditions(Conditions())
    Policy(quiet_hours=("22:00-06:00",), unknown_allows=True).check_conditions(Conditions())
    Policy().check_conditions(Conditions())


@pytest.mark.parametrize("hours", ["8:00-22:00", "24:00-06:00", "08:60-09:00", "night"])
def test_hours_are_written_in_one_way(hours: str) -> None:
    with pytest.raises(ConfigError, match="must read 'HH:MM-HH:MM'"):
        Policy(quiet_hours=(hours,))
    with pytest.raises(ConfigError, match="begin when they end"):
        Policy(quiet_hours=("08:00-08:00",))
