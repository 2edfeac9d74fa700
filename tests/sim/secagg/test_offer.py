"""What a device refuses in an offer: tests 30, 37 and 38 of docs/protocol.md section 16."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dreamshare_crypto.certificates import RevocationList, Role
from dreamshare_crypto.encoding import FieldParams
from dreamshare_crypto.errors import ParameterError, RefusalCode
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.secagg.events import (
    Abandoned,
    EndReason,
    EpochOver,
    KeepEvidence,
    Received,
    RecordKind,
    Refuse,
    Send,
    Stage,
    Ticked,
)
from dreamshare_crypto.secagg.memory import lasting
from dreamshare_crypto.secagg.offer import EpochOffer, TemplateStep
from dreamshare_crypto.secagg.phases import Advertised, Idle
from dreamshare_crypto.secagg.records import EndedRecord, EpochRecord
from tests.sim.secagg.federation import (
    NOW,
    TASK,
    YEAR_S,
    Federation,
    make_params,
    make_terms,
)
from tests.sim.secagg.harness import Cohort, Journal, Party


@pytest.fixture
def cohort() -> Cohort:
    return Cohort(3)


def offer(cohort: Cohort, epoch: int = 1, **changes: object) -> EpochOffer:
    """Return an offer with these fields changed, signed by the aggregator."""
    honest = cohort.terms.offer(cohort.aggregator, TASK, epoch, NOW)
    return replace(honest, **changes).sign(cohort.aggregator.signing)  # type: ignore[arg-type]


def give(cohort: Cohort, message: EpochOffer) -> tuple[object, ...]:
    return cohort.parties[0].handle(Received(Stage.OFFER, message.encode()), cohort.now)


def refused(cohort: Cohort, message: EpochOffer, code: str) -> None:
    client = cohort.parties[0].client
    before = client.phase
    effects = give(cohort, message)
    assert [(type(e), e.code, e.round) for e in effects] == [(Refuse, code, None)]
    assert client.phase is before


def dropped(cohort: Cohort, message: EpochOffer) -> None:
    client = cohort.parties[0].client
    assert give(cohort, message) == ()
    assert client.counts == {RefusalCode.M2: 1}


def test_offer_accepted(cohort: Cohort) -> None:
    effects = give(cohort, offer(cohort))
    party = cohort.parties[0]
    assert isinstance(party.client.phase, Advertised)
    assert [record.kind for record in party.journal.records] == [RecordKind.EPOCH]
    assert isinstance(effects[-1], Send)
    assert party.client.deadline == NOW + 86_400


def test_offer_repeated(cohort: Cohort) -> None:
    party = cohort.parties[0]
    give(cohort, offer(cohort))
    (advertise,) = party.sent(Stage.ADVERTISE)
    assert give(cohort, offer(cohort)) == (Send(Stage.ADVERTISE, advertise),)
    assert len(party.journal.records) == 1


# ---- M2 ------------------------------------------------------------------------------------------


def test_offer_of_other_task(cohort: Cohort) -> None:
    dropped(cohort, offer(cohort, task=b"another task  16"))


def test_offer_of_other_federation(cohort: Cohort) -> None:
    dropped(cohort, offer(cohort, federation=b"another fed.  16"))


def test_offer_signed_by_device(cohort: Cohort) -> None:
    dropped(cohort, offer(cohort).sign(cohort.parties[1].identity.signing))


# ---- O1: 37 --------------------------------------------------------------------------------------

OUTSIDE = {
    "gamma_zero_offer": {"gamma_ppm": 0},
    "sigma_one_offer": {"sigma": 1},
    "least_cohort_2": {"least_cohort": 2},
    "suite_unknown": {"suite": 3},
    "profile_k": {"profile": 2},
    "bounded_not_allowed": {"mode": 2},
    "version_unknown": {"version": 2, "min_version": 1},
    "min_version_above_version": {"min_version": 2},
    "R_257": {"rounds": 257},
    "R_0": {"rounds": 0},
    "life_25h": {"life_s": 90_000},
    "epoch_of_tomorrow": {"not_before": int(NOW) + 301},
    "epoch_of_yesterday": {"not_before": int(NOW) - 86_400},
    "n_max_129": {"n_max": 129},
    "n_max_below_cohort": {"n_max": 2},
    "template_empty": {"template": ()},
    "template_other_n_max": {
        "template": (TemplateStep("test/1", "sum", make_params(n_max=15)),),
    },
    "template_bounded": {
        "template": (TemplateStep("test/1", "sum", replace(make_params(), mode=2)),),
    },
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_offer_outside_floor(cohort: Cohort, name: str) -> None:
    refused(cohort, offer(cohort, **OUTSIDE[name]), "O1")


@pytest.mark.parametrize(
    "floor",
    [
        Floor(max_clip=0.5),
        Floor(min_bits=17),
        Floor(max_bits=15),
        Floor(max_vector_words=2),
        Floor(gamma_ppm=60_000),
        Floor(least_cohort=4),
        Floor(max_rounds=3),
        Floor(suites=(2,)),
        Floor(min_noise=0.1),
        Floor(epsilon=100.0),
    ],
    ids=[
        "clip",
        "min_bits",
        "max_bits",
        "words",
        "gamma",
        "cohort",
        "rounds",
        "suites",
        "noise",
        "budget",
    ],
)
def test_offer_against_stricter_floor(floor: Floor) -> None:
    """The offer that default settings accept is refused by a stricter operator."""
    cohort = Cohort(3, floor=floor)
    refused(cohort, offer(cohort), "O1")


def test_version_lower_than_seen(cohort: Cohort) -> None:
    """The memory of a device that has seen version 2 of this aggregator (14.6)."""
    cohort.parties[0].memory.note_offer(offer(cohort, epoch=0, version=2))
    refused(cohort, offer(cohort), "O1")


def seen_on_disk(cohort: Cohort, floor: Floor) -> None:
    """Restart device 0 from a journal in which this aggregator's version 2 was accepted."""
    party = cohort.parties[0]
    newer = offer(cohort, epoch=0, version=2)
    party.journal.records.append(EpochRecord(newer, b"", b"").record())
    party.journal.records.append(EndedRecord(0).record())
    party.floor = floor
    party.restart()
    party.client.handle(Ticked(), NOW)


def test_version_lower_than_seen_after_restart(cohort: Cohort) -> None:
    seen_on_disk(cohort, Floor())
    refused(cohort, offer(cohort), "O1")


def test_version_reset_by_the_operator(cohort: Cohort) -> None:
    """14.6: a step back that the operator wants, and for this aggregator alone."""
    seen_on_disk(cohort, Floor(version_resets=(b"another aggr. 16",)))
    refused(cohort, offer(cohort), "O1")
    seen_on_disk(cohort, Floor(version_resets=(cohort.aggregator.id,)))
    give(cohort, offer(cohort))
    assert isinstance(cohort.parties[0].client.phase, Advertised)


def test_bounded_mode_on_a_random_graph() -> None:
    """4.2: profile K runs in agreed mode only, also at a device that allows both kinds."""
    cohort = Cohort(3, floor=Floor(profiles=(1, 2), modes=(1, 2)))
    template = (TemplateStep("test/1", "sum", replace(make_params(n_max=200), mode=2)),)
    changes = {"profile": 2, "mode": 2, "d_ppm": 100_000, "n_max": 200, "template": template}
    refused(cohort, offer(cohort, **changes), "O1")
    (refuse,) = give(cohort, offer(cohort, **changes))
    assert "complete graph" in refuse.text  # type: ignore[attr-defined]


def test_agreed_mode_with_a_bound_on_dropouts(cohort: Cohort) -> None:
    refused(cohort, offer(cohort, d_ppm=100_000), "O1")


def test_q_of_each_field_counts(cohort: Cohort) -> None:
    """The second field of a template is looked at as well as the first."""
    fields = (FieldParams.create(5, 16, 1.0, 16), FieldParams.create(5, 16, 2e9, 16))
    params = replace(make_params(), fields=fields)
    refused(cohort, offer(cohort, template=(TemplateStep("test/1", "sum", params),)), "O1")


@pytest.mark.parametrize("name", [b"", b"\xff\xfe"], ids=["empty", "no_utf8"])
def test_step_without_a_name(cohort: Cohort, name: bytes) -> None:
    """M1, though the aggregator signed it."""
    raw = offer(cohort).encode()
    at = raw.index(b"\x06\0\0\0test/1")  # behind the template's length and its count of steps
    length = int.from_bytes(raw[at - 8 : at - 4], "little") - 6 + len(name)
    head = raw[: at - 8] + length.to_bytes(4, "little") + raw[at - 4 : at]
    changed = head + len(name).to_bytes(4, "little") + name + raw[at + 10 :]
    client = cohort.parties[0].client
    assert cohort.parties[0].handle(Received(Stage.OFFER, changed), cohort.now) == ()
    assert client.counts == {RefusalCode.M1: 1}


# ---- O2: 30 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarted", [False, True])
def test_two_offers_same_epoch(cohort: Cohort, restarted: bool) -> None:
    party = cohort.parties[0]
    first, second = offer(cohort), offer(cohort, life_s=3600)
    give(cohort, first)
    if restarted:
        party.restart()
    effects = give(cohort, second)
    (evidence,) = [effect for effect in effects if isinstance(effect, KeepEvidence)]
    assert (evidence.code, evidence.first, evidence.second) == (
        "O2",
        first.encode(),
        second.encode(),
    )
    assert party.refusals() == ["O2"]
    assert EpochOver(EndReason.EVIDENCE) in effects
    assert isinstance(party.client.phase, Idle)
    assert "seed-wrap" not in party.journal.slots


@pytest.mark.parametrize("restarted", [False, True])
def test_retained_old_offer(cohort: Cohort, restarted: bool) -> None:
    """An old offer, kept by a broker, changes nothing about the epoch that is running (67)."""
    old = offer(cohort, epoch=1)
    give(cohort, old)
    give(cohort, offer(cohort, epoch=2))
    party: Party = cohort.parties[0]
    if restarted:
        party.restart()
        party.handle(Received(Stage.OFFER, b""), cohort.now)
    refused(cohort, old, "O2")
    assert party.evidence() == []


def test_same_epoch_after_it_ended(cohort: Cohort) -> None:
    give(cohort, offer(cohort))
    cohort.parties[0].handle(Abandoned(), cohort.now)
    refused(cohort, offer(cohort), "O2")


def test_new_epoch_replaces_the_old_one(cohort: Cohort) -> None:
    cohort.set_up()
    party = cohort.parties[0]
    old_chain = party.journal.slots["chain"]
    effects = give(cohort, offer(cohort, epoch=2))
    assert EpochOver(EndReason.REPLACED) in effects
    assert isinstance(party.client.phase, Advertised)
    assert old_chain not in party.journal.slots.values()
    kinds = [record.kind for record in party.journal.records]
    assert kinds[-2:] == [RecordKind.ENDED, RecordKind.EPOCH]


def test_refused_new_epoch_leaves_the_old_one(cohort: Cohort) -> None:
    """An offer that is refused begins nothing and ends nothing."""
    cohort.set_up()
    refused(cohort, offer(cohort, epoch=2, gamma_ppm=0), "O1")


# ---- O3: 38 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["restarted", "journal_dropped"])
def test_old_revocation_list_after_a_restart(cohort: Cohort, left: str) -> None:
    """9.2: the highest list outlives the process, and the task that brought it."""
    party = cohort.parties[0]
    newer = cohort.federation.revoke(9, ())
    give(cohort, offer(cohort, revocations=newer))
    if left == "restarted":
        party.restart()
    else:
        party.journal = Journal(lasting(party.journal.records))
        party.restart()
    party.client.handle(Ticked(), NOW)
    refused(cohort, offer(cohort, epoch=2, revocations=cohort.federation.revoke(8, ())), "O3")
    give(cohort, offer(cohort, epoch=2, revocations=newer))
    assert isinstance(party.client.phase, Advertised)


def test_old_revocation_list(cohort: Cohort) -> None:
    newer = cohort.federation.revoke(5, ())
    give(cohort, offer(cohort, epoch=1, revocations=newer))
    refused(cohort, offer(cohort, epoch=2, revocations=cohort.federation.revoke(4, ())), "O3")


def test_revocation_list_below_own(cohort: Cohort) -> None:
    """The list that came with the enrolment counts as seen."""
    refused(cohort, offer(cohort, revocations=cohort.federation.revoke(0, ())), "O3")


def test_stale_revocation_list(cohort: Cohort) -> None:
    """next_update is a year after signing; the default grace is one day."""
    stale = cohort.federation.revoke(2, (), now=NOW - YEAR_S - 86_401)
    refused(cohort, offer(cohort, revocations=stale), "O3")


def test_list_signed_by_aggregator(cohort: Cohort) -> None:
    forged = RevocationList.issue(
        cohort.aggregator.signing, cohort.federation.id, 2, int(NOW), int(NOW) + YEAR_S, ()
    )
    refused(cohort, offer(cohort, revocations=forged), "O3")


def test_list_of_other_federation(cohort: Cohort) -> None:
    """The same authority key may serve two federations; their lists are not exchangeable."""
    foreign = RevocationList.issue(
        cohort.federation.authority, b"another fed.  16", 2, int(NOW), int(NOW) + YEAR_S, ()
    )
    refused(cohort, offer(cohort, revocations=foreign), "O3")


def test_revoked_aggregator(cohort: Cohort) -> None:
    revoked = cohort.federation.revoke(2, [cohort.aggregator.certificate.serial])
    refused(cohort, offer(cohort, revocations=revoked), "O3")


def test_expired_aggregator(cohort: Cohort) -> None:
    identity = cohort.aggregator
    expired = cohort.federation.certify(
        Role.AGGREGATOR, identity.signing, identity.kem, not_after=int(NOW) - 1
    )
    refused(cohort, offer(cohort, aggregator=expired), "O3")


def test_aggregator_of_other_authority(cohort: Cohort) -> None:
    other = Federation(b"a false authority").issue(Role.AGGREGATOR, "aggregator")
    message = offer(cohort, aggregator=other.certificate).sign(other.signing)
    refused(cohort, message, "O3")


def test_device_certificate_in_offer(cohort: Cohort) -> None:
    device = cohort.parties[1].identity
    message = offer(cohort, aggregator=device.certificate).sign(device.signing)
    refused(cohort, message, "O3")


def test_terms_are_checked_where_they_are_made() -> None:
    for changes in ({"rounds": 0}, {"rounds": 257}, {"life_s": 90_000}, {"gamma_ppm": 10**6}):
        with pytest.raises(ParameterError):
            make_terms(**changes)
    with pytest.raises(ParameterError, match="n_max"):
        replace(make_terms(), n_max=17)
