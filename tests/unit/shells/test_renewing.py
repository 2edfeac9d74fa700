"""When a certificate is renewed, and what happens where it cannot be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dreamshare.clock import ManualClock
from dreamshare.wire.enrol import Answer, Refusal, RefusalReason
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.enrolment import approve
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.identity import Identity
from dreamshare_edge.certifying import Applicant
from dreamshare_edge.renewing import AGAIN_S, due_at, renewed
from tests.unit.shells.test_relay import answering

NOW = 1_800_000_000.0
DAY_S = 86_400


class Stage:
    """An authority and a device with a certificate of 90 days."""

    def __init__(self, path: Path) -> None:
        self.entropy = SeededEntropy(b"renewing")
        self.clock = ManualClock(NOW)
        self.authority = Authority.create(b"F" * 16, self.entropy, NOW)
        self.device = self.authority.issue(Role.DEVICE, "phone", self.entropy, NOW)
        self.applicant = Applicant(path / "device.key", self.clock, self.entropy)
        self.device.save(self.applicant.path)

    def reply(self) -> bytes:
        message = self.applicant.renewal(self.device).message
        return approve(self.authority, message, self.clock.now(), self.entropy)

    async def sleeps(self) -> float:
        """Let the event loop run until it sleeps; return the moment that it sleeps until."""
        for _ in range(50):
            await asyncio.sleep(0)
        assert self.clock.next_wake is not None
        return self.clock.next_wake


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_two_thirds_of_the_life() -> None:
    authority = Authority.create(b"F" * 16, SeededEntropy(b"x"), NOW)
    device = authority.issue(Role.DEVICE, "d", SeededEntropy(b"y"), NOW, life_s=30 * DAY_S)
    assert due_at(device) == pytest.approx(NOW + 20 * DAY_S, abs=301)


async def test_it_waits_is_refused_tries_again_and_keeps_the_new_one(stage: Stage) -> None:
    told: list[str] = []
    due = due_at(stage.device)
    way = answering(Refusal(RefusalReason.REFUSED, "not today"), Answer(stage.reply()))
    kept = stage.applicant.pending_path.read_bytes()
    running = asyncio.ensure_future(renewed(stage.applicant, stage.device, [way], told.append))
    assert await stage.sleeps() == due
    stage.clock.advance_to(due)
    assert await stage.sleeps() == pytest.approx(due + AGAIN_S)
    assert len(told) == 1
    assert "not today" in told[0]
    assert Identity.load(stage.applicant.path).certificate == stage.device.certificate
    assert stage.applicant.pending_path.read_bytes() == kept, "the same request is asked again"
    stage.clock.advance_to(due + AGAIN_S)
    again = await running
    assert Identity.load(stage.applicant.path).certificate == again.certificate
    assert (again.id, again.certificate.ik) == (stage.device.id, stage.device.certificate.ik)
    assert not stage.applicant.pending_path.exists()
    assert way.asked[0] == way.asked[1]


def test_a_request_with_a_token_is_no_renewal(stage: Stage) -> None:
    token = stage.authority.invite(Role.DEVICE, "x", ["grpcs://a:1"], stage.entropy, NOW)
    first = stage.applicant.with_token(token)
    assert stage.applicant.renewal(stage.device).message != first.message
