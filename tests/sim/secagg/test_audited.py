"""Regression tests of defects that an audit of the machines found; each was shown to work first.

n = 4 or 6 with the least safe thresholds (docs/protocol.md 4.3): n = 4 has t = q = u_min = 3.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.enrolment import approve, renew
from dreamshare_crypto.enrolment_messages import EnrolRequest
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.secagg.client import SecaggClient
from dreamshare_crypto.secagg.events import Left, Passed, Persist, Refuse, Returned, Stage, Summed
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.terms import rounds_for
from tests.sim.secagg.federation import FEDERATION, NOW, payload_of
from tests.sim.secagg.harness import Cohort


def two_tasks(n: int) -> tuple[Cohort, Cohort]:
    """Two live sessions of the same devices, one memory a device, as an agent has it."""
    first = Cohort(n)
    second = Cohort(n, federation=first.federation, task=b"task-00000000002")
    for party in second.parties:
        memory = next(p.memory for p in first.parties if p.id == party.id)
        party.client = SecaggClient(
            party.identity, second.task, second.floor, party.entropy, memory
        )
    first.set_up()
    second.set_up()
    return first, second


@pytest.mark.parametrize("masked", [False, True], ids=["before vectors", "before answers"])
def test_same_payload_in_two_tasks_at_once(masked: bool) -> None:
    """Both RoundStarts are accepted before either is answered; only one sum may ever open.

    The second sum would leave device 4 out, and the difference would be that device's vector.
    """
    first, second = two_tasks(6)
    payload = payload_of("the same")
    for cohort in (first, second):
        cohort.open(payload)
        if masked:
            while cohort.down:
                cohort.give(*cohort.down.pop(0))
    if not masked:
        second.down, held = [], second.down
        first.pump()
        second.down = held
    else:
        first.pump()
    assert isinstance(first.outcome(), Summed)
    second.up = [message for message in second.up if message[0] != 4]
    second.pump(lambda number, stage: number != 4)
    second.serve(Left(second.parties[4].id))
    second.pump()
    assert not isinstance(second.outcome(), Summed)
    assert all(not party.sent(Stage.UNMASK_RESPONSE) for party in second.parties)
    assert "S7" in second.parties[0].refusals()


def test_a_device_that_passes_once_is_asked_again() -> None:
    """Two live devices refuse round 0; round 1 waits for them although the others were faster."""
    cohort = Cohort(4)
    cohort.set_up()
    cohort.open()
    cohort.down = [message for message in cohort.down if message[0] not in (2, 3)]
    for number in (2, 3):
        cohort.serve(Passed(cohort.parties[number].id))
    cohort.pump()
    before = len(cohort.server_effects)
    cohort.open()
    slow = [message for message in cohort.down if message[0] in (2, 3)]
    cohort.down = [message for message in cohort.down if message[0] in (0, 1)]
    cohort.pump()
    assert cohort.outcome(before) is None
    cohort.down = slow
    cohort.pump()
    ended = cohort.outcome(before)
    assert isinstance(ended, Summed)
    np.testing.assert_allclose(ended.sums[0], cohort.expected_sum(1, range(4)), atol=1e-9)


def test_a_survivor_that_lost_the_bitmap_still_answers() -> None:
    """Device 3 never saw Survivors, device 2 goes before it answers: t = 3 need device 3."""
    cohort = Cohort(4)
    cohort.set_up()
    cohort.open()
    lost = {(3, Stage.SURVIVORS), (2, Stage.AGREE_SET)}
    cohort.pump(lambda number, stage: (number, stage) not in lost)
    cohort.serve(Left(cohort.parties[2].id))
    cohort.serve(Returned(cohort.parties[3].id))
    cohort.pump(lambda number, stage: number != 2)
    ended = cohort.outcome()
    assert isinstance(ended, Summed)
    np.testing.assert_allclose(ended.sums[0], cohort.expected_sum(0, range(4)), atol=1e-9)


def test_the_end_is_durable_before_the_refusal_is_told() -> None:
    """A device that is killed after it named a contradiction must not go on in that epoch."""
    cohort = Cohort(4)
    cohort.set_up()
    cohort.open()
    first = next(body for number, _, body in cohort.down if number == 0)
    cohort.give(0, Stage.ROUND_START, first)
    start = RoundStart.decode(first, 4)
    lie = replace(start, active=start.active - {3}).sign(cohort.aggregator.signing)
    effects = cohort.give(0, Stage.ROUND_START, lie.encode())
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Persist) < kinds.index(Refuse)


def test_a_certificate_about_to_expire_stays_out_of_the_roster() -> None:
    """It would be bad (R1) for everybody by the time the roster comes, and end the epoch (E).

    One silent device keeps the stage open for its 60 s; device 2's certificate ends after 30 s.
    """
    cohort = Cohort(6)
    party = cohort.parties[2]
    certificate = cohort.federation.certify(
        Role.DEVICE, party.identity.signing, party.identity.kem, not_after=int(NOW) + 30
    )
    party.identity = replace(party.identity, certificate=certificate)
    party.client = SecaggClient(
        party.identity, cohort.task, party.floor, party.entropy, party.memory
    )
    cohort.set_up(lambda number, stage: (number, stage) != (5, Stage.ADVERTISE))
    assert cohort.server.members == tuple(cohort.parties[i].id for i in (0, 1, 3, 4))
    assert all(not cohort.parties[i].refusals() for i in (0, 1, 3, 4))


def test_tls_request_of_an_unknown_version() -> None:
    """The X.509 library raises an error of its own family for version 5; ours must come out."""
    entropy = SeededEntropy(b"tls request")
    authority = Authority.create(FEDERATION, entropy, NOW)
    device = authority.issue(Role.DEVICE, "device", entropy, NOW)
    asked = EnrolRequest.decode(renew(device, entropy).message)
    place = asked.tls_csr.index(b"\x02\x01\x00")  # INTEGER 0: version 1 of RFC 2986
    csr = asked.tls_csr[:place] + b"\x02\x01\x05" + asked.tls_csr[place + 3 :]
    message = replace(asked, tls_csr=csr).seal(None, device.signing).encode()
    with pytest.raises(MalformedError):
        approve(authority, message, NOW, entropy)


def test_rounds_of_an_epoch_are_counted_in_integers() -> None:
    """4.11: ceil(1.1 x sums). In floating point 1.1 x 50 is 55.00000000000001."""
    assert [rounds_for(sums) for sums in (1, 10, 50, 100, 232, 233)] == [2, 11, 55, 110, 256, 256]
