"""The crowd that an operator is told before anything runs, and what is refused with its figure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dreamshare.errors import ConfigError
from dreamshare.protocol.crowds import claims_of, guarantee_of
from dreamshare.protocol.messages import Cohort
from dreamshare_crypto.graph import Mode, derive_parameters


@pytest.mark.parametrize(
    ("n", "crowd", "colluders"), [(10, 8, 1), (30, 22, 2), (50, 36, 3), (100, 71, 5)]
)
def test_the_rows_of_bounded_mode(n: int, crowd: int, colluders: int) -> None:
    """4.5: a tenth may drop out, and as many may be away for good."""
    got = guarantee_of(Cohort(n, n, dropouts=0.1))
    assert (got.crowd, got.colluders, got.roster) == (crowd, colluders, n)


def test_the_worst_roster_size_is_told() -> None:
    """n = 10 gives 8 - 1 honest devices; no size up to 20 gives fewer."""
    cohort = Cohort(10, 20, dropouts=0.1)
    got = guarantee_of(cohort)
    honest = {
        n: derive_parameters(n, claims_of(cohort)).crowd - derive_parameters(n, claims_of(cohort)).a
        for n in range(10, 21)
    }
    assert got.crowd - got.colluders == min(honest.values()) == honest[got.roster]
    assert str(got) == ("every sum is over 8 devices or more, 7 of them honest where 1 collude")


def test_agreed_mode_guarantees_its_least_survivors() -> None:
    """4.4: u_min = max(t, least cohort, a + 2); n = 5 gives t = 4."""
    assert (guarantee_of(Cohort(5, 8)).crowd, guarantee_of(Cohort(5, 8)).colluders) == (4, 1)
    assert guarantee_of(Cohort(10, 16, survivors=9)).crowd == 9
    assert str(guarantee_of(Cohort(3, 3))) == "every sum is over 3 devices or more"


@pytest.mark.parametrize(
    ("cohort", "text"),
    [
        (Cohort(8, 16, dropouts=0.1), "a roster of 8: .* let 0 drop out; 1 to 3 can"),
        (Cohort(10, 10, dropouts=0.4), "a roster of 10: .* leave fewer than the 6"),
        (
            Cohort(20, 20, survivors=16, dropouts=0.1),
            "guarantee a crowd of 15; 16 is asked. Raise A_min_ppm, lower d_ppm",
        ),
        (Cohort(4, 3), "no roster"),
    ],
)
def test_what_no_device_would_accept(cohort: Cohort, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        guarantee_of(cohort)


def test_claims_name_the_mode() -> None:
    agreed, bounded = claims_of(Cohort(10, 10)), claims_of(Cohort(10, 10, dropouts=0.1))
    assert (agreed.mode, agreed.d_ppm) == (Mode.AGREED, 0)
    assert (bounded.mode, bounded.d_ppm, bounded.a_min_ppm) == (Mode.BOUNDED, 100_000, 900_000)
    assert replace(bounded, mode=Mode.AGREED, d_ppm=0, a_min_ppm=0) == agreed
