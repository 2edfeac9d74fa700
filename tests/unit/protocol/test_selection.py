"""Who is invited: places, strata, a uniform draw, and nothing drawn where everybody fits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare.errors import ConfigError
from dreamshare.ids import PartyId
from dreamshare.protocol.messages import Cohort, Stratum
from dreamshare.protocol.phases import Gathering
from dreamshare.protocol.selection import Candidate, fault_of, gather, places_of, select
from dreamshare_crypto.entropy import SeededEntropy
from tests.sim.rounds.world import World

EU, US = {"region": "eu"}, {"region": "us"}


def crowd(*kinds: dict[str, str]) -> tuple[Candidate, ...]:
    return tuple(Candidate(PartyId(bytes([i]) * 16), kind) for i, kind in enumerate(kinds))


class NoEntropy:
    """Nothing may be drawn."""

    def draw(self, size: int) -> bytes:
        raise AssertionError("everybody has a place: nothing is to be drawn")


def test_everybody_is_invited_when_all_fit_and_nothing_is_drawn() -> None:
    here = crowd({}, {}, {}, {})
    assert select(here, Cohort(3, 4), NoEntropy()) == tuple(c.device for c in here)
    assert select(here[:2], Cohort(3, 4), NoEntropy()) == ()


def test_over_selection_invites_a_part_more_than_wanted_and_never_above_most() -> None:
    assert places_of(Cohort(3, 100)) == 100
    assert places_of(Cohort(3, 100, target=10)) == 10
    assert places_of(Cohort(3, 100, target=10, spare=0.25)) == 13
    assert places_of(Cohort(3, 12, target=10, spare=1.0)) == 12


def test_a_draw_is_uniform() -> None:
    """30 devices, 10 places, 600 draws: each is in 200 of them, give or take (sigma 11.5)."""
    here, drawn = crowd(*[{}] * 30), Counter[PartyId]()
    for number in range(600):
        drawn.update(select(here, Cohort(3, 10), SeededEntropy(f"{number}".encode())))
    assert sum(drawn.values()) == 6000
    assert all(140 < drawn[candidate.device] < 260 for candidate in here)


def test_strata_get_their_least_and_not_more_than_their_most() -> None:
    here = crowd(*[EU] * 3, *[US] * 20)
    cohort = Cohort(4, 10, strata=(Stratum("region", "eu", least=2), Stratum("region", "us", 0, 6)))
    for number in range(50):
        chosen = select(here, cohort, SeededEntropy(f"{number}".encode()))
        kinds = Counter(c.attributes["region"] for c in here if c.device in chosen)
        assert kinds["us"] <= 6
        assert kinds["eu"] >= 2
    assert select(crowd(EU, *[US] * 20), cohort, SeededEntropy(b"")) == (), "one of two is missing"
    assert select(crowd(EU, EU, US), cohort, SeededEntropy(b"")) == (), "fewer than least"


@given(
    st.lists(st.sampled_from([EU, US, {}]), max_size=14),
    st.integers(3, 6),
    st.integers(6, 9),
    st.integers(0, 3),
    st.integers(0, 4),
    st.binary(max_size=4),
)
def test_whoever_is_invited_fits_the_cohort(
    kinds: list[dict[str, str]], least: int, most: int, eu: int, us_most: int, seed: bytes
) -> None:
    strata = (Stratum("region", "eu", eu), Stratum("region", "us", 0, us_most))
    cohort = Cohort(least, most, strata=strata)
    here = crowd(*kinds)
    chosen = select(here, cohort, SeededEntropy(seed))
    found = Counter(c.attributes.get("region") for c in here if c.device in chosen)
    if chosen:
        assert least <= len(chosen) == len(set(chosen)) <= most
        assert found["eu"] >= eu
        assert not us_most or found["us"] <= us_most
    else:
        counts = Counter(c.attributes.get("region") for c in here)
        reach = sum(counts.values()) - (max(0, counts["us"] - us_most) if us_most else 0)
        assert reach < least or counts["eu"] < eu


def test_the_wait_for_more_ends_when_all_places_are_taken_or_the_grace_is_over() -> None:
    here, cohort, entropy = crowd({}, {}, {}, {}), Cohort(3, 4), SeededEntropy(b"")
    assert gather(Gathering(), here[:2], cohort, 5.0, 100.0, entropy) == Gathering()
    waiting = gather(Gathering(), here[:3], cohort, 5.0, 100.0, entropy)
    assert waiting == Gathering(105.0)
    assert isinstance(waiting, Gathering)
    assert gather(waiting, here[:3], cohort, 5.0, 104.9, entropy) is waiting
    assert gather(waiting, here[:2], cohort, 5.0, 104.9, entropy) == Gathering()
    assert gather(waiting, here[:3], cohort, 5.0, 105.0, entropy) == tuple(
        c.device for c in here[:3]
    )
    assert gather(Gathering(), here, cohort, 5.0, 100.0, entropy) == tuple(c.device for c in here)


@pytest.mark.parametrize(
    ("cohort", "words"),
    [
        (Cohort(4, 8, target=3), "target 3 must be 0 or in 4..8"),
        (Cohort(4, 8, target=4, spare=5.0), "spare 5.0 must be"),
        (Cohort(4, 8, spare=0.5), "set one"),
        (Cohort(4, 8, quorum=1.5), "quorum 1.5 must be"),
        (Cohort(4, 8, strata=(Stratum("a", "b", 5, 4),)), "above its most"),
        (Cohort(4, 8, strata=(Stratum("a", "b", 9),)), "more than the roster takes"),
        (Cohort(4, 8, strata=(Stratum("a", "b"), Stratum("a", "b", 1))), "comes twice"),
    ],
)
def test_what_makes_no_sense_is_said_in_words(cohort: Cohort, words: str) -> None:
    assert words in fault_of(cohort)
    with pytest.raises(ConfigError, match="task terms"):
        replace(World(4).terms, cohort=cohort)
