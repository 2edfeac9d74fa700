"""What a device refuses in a RoundStart: tests 1 to 9 of docs/protocol.md section 16.

n = 10, a = 1, t = q = 6, A_min = 9, u_min = 8 (4.3, 4.4 with least_cohort 8 and A_min 90 %).
Device 0 is the one that is lied to.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare_crypto.certificates import Role
from dreamshare_crypto.encoding import FieldParams
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.keys import verify_signature
from dreamshare_crypto.secagg.events import (
    Compute,
    Computed,
    ComputeFailed,
    EndReason,
    EpochOver,
    Received,
    Send,
    Stage,
)
from dreamshare_crypto.secagg.offer import TemplateStep
from dreamshare_crypto.secagg.phases import Committed, Done, Idle, Ready, Sent
from dreamshare_crypto.secagg.round_messages import RoundStart
from tests.sim.secagg.federation import (
    Federation,
    make_params,
    noisy_params,
    payload_of,
    spec_terms,
)
from tests.sim.secagg.harness import Cohort
from tests.sim.secagg.hostile import PAYLOAD, Hostile, dropped, ready_cohort, refused


@pytest.fixture
def hostile() -> Hostile:
    return ready_cohort()


def test_numbers_of_section_16(hostile: Hostile) -> None:
    derived = hostile.session.derived
    assert (derived.a, derived.t, derived.q, derived.a_min, derived.u_min) == (1, 6, 6, 9, 8)


# ---- 1 to 3: who signed, and for whom ------------------------------------------------------------


def test_start_bad_signature(hostile: Hostile) -> None:
    body = bytearray(hostile.start().encode())
    body[-1] ^= 1
    dropped(hostile, Stage.ROUND_START, bytes(body), "M2")


def test_start_signed_by_device(hostile: Hostile) -> None:
    start = hostile.start().sign(hostile.cohort.parties[1].identity.signing)
    dropped(hostile, Stage.ROUND_START, start.encode(), "M2")


def test_start_signed_by_other_aggregator(hostile: Hostile) -> None:
    other = hostile.cohort.federation.issue(Role.AGGREGATOR, "another aggregator")
    dropped(hostile, Stage.ROUND_START, hostile.start().sign(other.signing).encode(), "M2")


def elsewhere(hostile: Hostile, name: str) -> Hostile:
    """Return the same aggregator, by its key, over another cohort that it set up."""
    here = hostile.cohort
    match name:
        case "start_other_federation":
            federation = Federation(b"another", b"federation-00002")
            cohort = Cohort(10, spec_terms(), federation=federation)
        case "start_other_task":
            cohort = Cohort(10, spec_terms(), federation=here.federation, task=b"task-00000000002")
        case _:  # the same task's next epoch: another sid
            cohort = Cohort(10, spec_terms(), federation=here.federation)
            cohort.server = cohort.new_server(epoch=2)
    certificate = cohort.federation.certify(Role.AGGREGATOR, hostile.key, here.aggregator.kem)
    cohort.aggregator = replace(
        here.aggregator,
        certificate=certificate,
        authority_key=cohort.federation.authority.public,
        revocations=cohort.federation.revocations,
    )
    cohort.server = cohort.new_server(cohort.server.epoch)
    cohort.set_up()
    return Hostile(cohort)


@pytest.mark.parametrize("name", ["start_other_federation", "start_other_task", "start_other_sid"])
def test_start_of_other_session(hostile: Hostile, name: str) -> None:
    """A good RoundStart of the very same key, from where it belongs to where it does not."""
    other = elsewhere(hostile, name)
    start = other.start()
    other.give_start(0, start)
    assert isinstance(other.cohort.parties[0].client.phase, Sent)
    assert start.session != hostile.session.sid
    dropped(hostile, Stage.ROUND_START, start.encode(), "M2")


# ---- 4, 5: which round ---------------------------------------------------------------------------


def test_start_replayed(hostile: Hostile) -> None:
    party = hostile.cohort.parties[0]
    hostile.give_start(0, hostile.start())
    records, vectors = list(party.journal.records), party.sent(Stage.MASKED_INPUT)
    effects = hostile.give_start(0, hostile.start())
    assert effects == (Send(Stage.MASKED_INPUT, vectors[0]),)
    assert party.journal.records == records
    assert isinstance(party.client.phase, Sent)


def test_start_replayed_while_computing(hostile: Hostile) -> None:
    party = hostile.cohort.parties[0]
    event = Received(Stage.ROUND_START, hostile.start().encode(), PAYLOAD)
    first = party.handle(event, hostile.cohort.now)
    assert isinstance(first[-1], Compute)
    assert party.handle(event, hostile.cohort.now) == ()


def test_start_replayed_after_failure(hostile: Hostile) -> None:
    party = hostile.cohort.parties[0]
    event = Received(Stage.ROUND_START, hostile.start().encode(), PAYLOAD)
    party.handle(event, hostile.cohort.now)
    failed = party.handle(ComputeFailed(0, RefusalCode.E1), hostile.cohort.now)
    assert party.handle(event, hostile.cohort.now) == failed
    assert party.sent(Stage.MASKED_INPUT) == []


def test_start_old_round(hostile: Hostile) -> None:
    hostile.give_start(0, hostile.start(1))
    refused(hostile, hostile.start(0, payload=payload_of("older")), "S1", payload_of("older"))


def test_start_round_R(hostile: Hostile) -> None:
    refused(hostile, hostile.start(hostile.session.offer.rounds), "S1")


def test_start_deadline_past(hostile: Hostile) -> None:
    refused(hostile, hostile.start(deadline=int(hostile.cohort.now) - 1), "S1")


def test_start_replayed_after_close(hostile: Hostile) -> None:
    """The vector is dropped with the round, so there is no stored reply any more."""
    start = hostile.start()
    hostile.give_start(0, start)
    hostile.give(0, hostile.abort(start))
    assert isinstance(hostile.cohort.parties[0].client.phase, Done)
    refused(hostile, start, "S1")


@pytest.mark.parametrize("closed", [False, True])
def test_start_two_contents(hostile: Hostile, closed: bool) -> None:
    party = hostile.cohort.parties[0]
    first, second = hostile.start(), hostile.start(active=range(9))
    hostile.give_start(0, first)
    if closed:
        hostile.give(0, hostile.abort(first))
    effects = hostile.give_start(0, second)
    assert party.refusals() == ["S2"]
    (evidence,) = party.evidence()
    assert (evidence.first, evidence.second) == (first.encode(), second.encode())
    for message in (evidence.first, evidence.second):
        decoded = RoundStart.decode(message, 10)
        verify_signature(hostile.key.public, RoundStart.LABEL, decoded.statement(), message[-64:])
    assert EpochOver(EndReason.EVIDENCE) in effects
    assert isinstance(party.client.phase, Idle)
    assert "chain" not in party.journal.slots


def test_start_while_another_is_open(hostile: Hostile) -> None:
    """A round that the aggregator left behind gives way to a later one."""
    hostile.give_start(0, hostile.start(0))
    later = payload_of("later")
    hostile.give_start(0, hostile.start(2, payload=later), later)
    phase = hostile.cohort.parties[0].client.phase
    assert isinstance(phase, Sent)
    assert phase.commitment.start.round == 2


# ---- 6, 7: the active set ------------------------------------------------------------------------


def test_start_without_me(hostile: Hostile) -> None:
    refused(hostile, hostile.start(active=range(1, 10)), "S3")


def bitmap_at(hostile: Hostile) -> int:
    return 32 + 4  # sid, r (section 7)


def test_start_spare_bits(hostile: Hostile) -> None:
    """n = 10 leaves six spare bits in the second byte; the lowest is bit n."""
    start = hostile.start()
    statement = bytearray(start.statement())
    statement[bitmap_at(hostile) + 1] |= 1 << 2
    body = bytes(statement) + hostile.key.sign(RoundStart.LABEL, bytes(statement))
    dropped(hostile, Stage.ROUND_START, body, "M1")


def test_start_short_bitmap(hostile: Hostile) -> None:
    statement = hostile.start().statement()
    at = bitmap_at(hostile)
    short = statement[: at + 1] + statement[at + 2 :]
    dropped(hostile, Stage.ROUND_START, short + hostile.key.sign(RoundStart.LABEL, short), "M1")


def test_start_trailing_byte(hostile: Hostile) -> None:
    dropped(hostile, Stage.ROUND_START, hostile.start().encode() + b"\0", "M1")


def test_start_small_active(hostile: Hostile) -> None:
    refused(hostile, hostile.start(active=range(8)), "S4")


def test_start_least_active(hostile: Hostile) -> None:
    hostile.give_start(0, hostile.start(active=range(9)))
    assert isinstance(hostile.cohort.parties[0].client.phase, Sent)


# ---- 8: payload and parameters -------------------------------------------------------------------


def test_start_wrong_payload(hostile: Hostile) -> None:
    refused(hostile, hostile.start(), "S5", payload_of("one byte changed"))


def with_fields(hostile: Hostile, bits: int = 16, clip: float = 1.0, dims: int = 5) -> RoundStart:
    params = hostile.params()
    field = FieldParams.create(dims, bits, clip, params.n_max)
    return hostile.start(params=replace(params, fields=(field,)))


def test_start_q_changed(hostile: Hostile) -> None:
    refused(hostile, with_fields(hostile, bits=17), "S5")


def test_start_dims_changed(hostile: Hostile) -> None:
    refused(hostile, with_fields(hostile, dims=6), "S5")


def test_start_with_a_field_more(hostile: Hostile) -> None:
    params = hostile.params()
    more = replace(params, fields=(*params.fields, *params.fields))
    refused(hostile, hostile.start(params=more), "S5")


def test_start_clip_above_floor(hostile: Hostile) -> None:
    refused(hostile, with_fields(hostile, clip=1.5), "S5")


def test_start_clip_below_template(hostile: Hostile) -> None:
    """Clips follow the public sums downwards (12.2)."""
    hostile.give_start(0, with_fields(hostile, clip=0.25))
    assert isinstance(hostile.cohort.parties[0].client.phase, Sent)


def test_start_noise_removed() -> None:
    """The offer's step has noise: a round without it, or with another scale, is refused."""
    terms = replace(spec_terms(), template=(TemplateStep("test/1", "sum", noisy_params()),))
    hostile = ready_cohort(10, terms)
    own = hostile.params()
    quiet = replace(make_params(), a_min=own.a_min, u_min=own.u_min, round_nonce=own.round_nonce)
    refused(hostile, hostile.start(params=quiet), "S5")
    hostile = ready_cohort(10, terms)
    less = hostile.params(noise_variance=own.noise_variance / 2)
    refused(hostile, hostile.start(params=less), "S5")
    hostile.give_start(0, hostile.start())
    assert isinstance(hostile.cohort.parties[0].client.phase, Sent)


@pytest.mark.parametrize("changes", [{"u_min": 7}, {"a_min": 8}, {"d": 1}, {"weight_cap": 2.0}])
def test_start_umin_lowered(hostile: Hostile, changes: dict[str, int]) -> None:
    refused(hostile, hostile.start(params=hostile.params(**changes)), "S5")


def test_start_deadline_above_offer(hostile: Hostile) -> None:
    """120 s are offered for collecting, and 300 s of clock difference are tolerated."""
    refused(hostile, hostile.start(deadline=int(hostile.cohort.now) + 421), "S5")


# ---- 9: the device's own policy ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["unknown_algorithm", "forbidden_step", "budget_spent"])
def test_start_not_permitted(hostile: Hostile, name: str) -> None:
    """The caller knows the plan and says S6; the machine refuses with it."""
    payload = replace(payload_of(name), refusal=RefusalCode.S6)
    refused(hostile, hostile.start(payload=payload), "S6", payload)


def test_update_of_wrong_shape_is_refused(hostile: Hostile) -> None:
    """E1: nothing is sent, and the machine stays committed to the round."""

    party = hostile.cohort.parties[0]
    event = Received(Stage.ROUND_START, hostile.start().encode(), PAYLOAD)
    for fields in (
        (np.zeros(4),),
        (np.zeros(5, dtype=np.float32),),
        (np.full(5, np.nan),),
        (np.zeros(5), np.zeros(5)),
    ):
        party.restart()
        party.handle(event, hostile.cohort.now)
        effects = party.handle(Computed(0, fields, 1.0), hostile.cohort.now)
        assert [effect.code for effect in effects] == ["E1"]
        assert isinstance(party.client.phase, Committed)
    assert party.sent(Stage.MASKED_INPUT) == []


def test_ready_is_where_this_begins(hostile: Hostile) -> None:
    assert all(isinstance(p.client.phase, Ready) for p in hostile.cohort.parties)
