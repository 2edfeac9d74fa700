"""What a task's owner may want, and the offer that follows from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dreamshare.errors import ConfigError
from dreamshare.privacy import Noise
from dreamshare.protocol.crowds import claims_of, least_honest
from dreamshare.protocol.epochs import last_epoch
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.outcomes import Spent
from dreamshare.protocol.terms import TaskTerms
from dreamshare.updates import Field
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.graph import Mode, derive_parameters
from dreamshare_crypto.noise import sensitivity
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_crypto.suite import Suite
from tests.sim.rounds.toy import FIELDS
from tests.sim.secagg.federation import NOW, TASK, Federation

TERMS = TaskTerms("toy/1", {"sum": FIELDS}, Cohort(4, 8))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"cohort": Cohort(2, 4)}, "least must be 3"),
        ({"cohort": Cohort(5, 4)}, "below least"),
        ({"cohort": Cohort(5, 129)}, "raise least 5 to 129"),
        ({"cohort": Cohort(129, 10_001)}, "above 10000"),
        ({"cohort": Cohort(5, 8, survivors=2)}, "survivors 2"),
        ({"cohort": Cohort(5, 8, survivors=6)}, "survivors 6"),
        ({"deadlines": Deadlines(collect_s=0.5)}, "deadline"),
        ({"deadlines": Deadlines(collect_s=90_000.0)}, "together"),  # no epoch lives so long
        ({"deadlines": Deadlines(collect_s=1e300)}, "together"),  # nor fits it the offer
        ({"grace_s": -1.0}, "grace_s"),
        ({"cohort": Cohort(10, 16, dropouts=1.0)}, "dropouts"),
        ({"cohort": Cohort(8, 16, dropouts=0.1)}, "roster of 8"),
        ({"life_s": 86_401}, "life_s"),
        ({"retries": -1}, "retries"),
    ],
)
def test_values_out_of_range_are_the_owners_error(change: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        replace(TERMS, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sums", "rounds"),
    [(0, 2), (1, 2), (9, 10), (10, 11), (100, 110), (232, 256), (233, 256), (10_000, 256)],
)
def test_rounds_of_an_epoch(sums: int, rounds: int) -> None:
    """R = min(256, ceil(1.1 x max(1, sums))) (4.11), in whole numbers."""
    assert TERMS.epoch(sums).rounds == rounds


def test_the_template_has_every_step_at_its_largest() -> None:
    terms = replace(TERMS, steps={"sum": FIELDS, "count": (Field("n", (3,), 100.0, 20),)})
    template = terms.epoch(1).template
    assert [(step.algorithm, step.step) for step in template] == [
        ("toy/1", "count"),
        ("toy/1", "sum"),
    ]
    (count,) = template[0].params.fields
    assert (count.dims, count.bits, count.clip) == (3, 20, 100.0)
    assert template[0].params.n_max == 8
    assert [f.dims for f in template[1].params.fields] == [6, 1]


def test_fields_that_no_lane_holds_are_the_owners_error() -> None:
    """A task without a step that is summed has no encoding at all."""
    with pytest.raises(ConfigError, match="template"):
        replace(TERMS, steps={}).epoch(1)


@pytest.mark.parametrize("least", [4, 7, 10, 50])
@pytest.mark.parametrize("more", [0, 1, 20])
def test_survivors_can_be_demanded_of_every_roster_size(least: int, more: int) -> None:
    """u_min <= A_min must hold for every n from least to most (4.4), or devices refuse."""
    most = least + more
    for survivors in {0, 3, least // 2 + 2, least}:
        terms = replace(TERMS, cohort=Cohort(least, most, survivors)).epoch(1)
        for n in range(least, most + 1):
            derived = derive_parameters(n, terms.claims)
            assert derived.u_min >= survivors
            assert derived.u_min <= derived.a_min <= n


def test_suite_and_mode_of_the_offer() -> None:
    terms = replace(TERMS, cohort=Cohort(10, 20, 8, Suite.CHACHA, 0.1)).epoch(1)
    assert (terms.suite, terms.mode, terms.d_ppm) == (Suite.CHACHA, Mode.BOUNDED, 100_000)
    assert (terms.a_min_ppm, terms.least_cohort) == (900_000, 8)
    assert all(step.params.mode == Mode.BOUNDED for step in terms.template)
    agreed = TERMS.epoch(1)
    assert (agreed.suite, agreed.mode, agreed.d_ppm) == (Suite.AES, Mode.AGREED, 0)


def test_deadlines_are_rounded_up_to_the_offers_seconds() -> None:
    terms = replace(TERMS, deadlines=Deadlines(1.5, 2.25, 3.0)).epoch(1)
    assert (terms.deadlines.setup_s, terms.deadlines.collect_s, terms.deadlines.reveal_s) == (
        2,
        3,
        3,
    )


def test_the_last_epoch_is_read_from_a_journal() -> None:
    identity = Federation().issue(Role.AGGREGATOR, "aggregator")
    records = [
        Record(RecordKind.SERVER_EPOCH, TERMS.epoch(1).offer(identity, TASK, n, NOW).encode())
        for n in (7, 9, 8)
    ]
    assert last_epoch([]) == 0
    assert last_epoch([*records, Record(RecordKind.OWNER, b"x")]) == 9


def test_noise_is_made_for_the_least_roster_that_can_come_about() -> None:
    """Of 3 to 16 devices, 4 have the least honest crowd: u_min 3 less one colluder (4.4).

    At least 8 survivors leave 8 - 1 = 7.
    """
    alone, together = least_honest(Cohort(8, 16)), least_honest(Cohort(8, 16, 8))
    assert (alone, together) == (2, 7)
    noise = Noise(clip=1.0, multiplier=1.0, delta=1e-6, bits=12, crowd=alone)
    fields = (Field("x", (10,), bound=1.0), Field("y", (), bound=5.0, bits=20))
    terms = TaskTerms("toy/1", {"sum": fields}, Cohort(8, 16), noise=noise)
    more = replace(terms, noise=replace(noise, crowd=together))
    wide, narrow = terms.encoding(fields), more.encoding(fields)
    assert {f.bits for f in wide.fields} == {12}
    assert wide.noise_variance == narrow.noise_variance
    assert wide.tail > narrow.tail
    assert terms.spent(fields, 10, 0) == Spent(sensitivity(wide), 6 - 1, 0.0)
    assert replace(terms, noise=None).spent(fields, 10, 9) is None


def test_noise_that_does_not_fit_is_said_at_once() -> None:
    noise = Noise(clip=1e6, multiplier=1e6, delta=1e-6, bits=20, crowd=2)
    with pytest.raises(ConfigError, match="noise of toy/1"):
        TaskTerms("toy/1", {"s": (Field("x", (4,), 1.0),)}, Cohort(3, 8), noise=noise).epoch(1)


def test_the_least_honest_crowd_of_a_random_graph() -> None:
    """Profile K: no roster of 129 to 1000 has a smaller one than 129 devices (4.10)."""
    derived = derive_parameters(129, claims_of(Cohort(200, 1000)))
    assert least_honest(Cohort(200, 1000)) == derived.crowd - derived.a
