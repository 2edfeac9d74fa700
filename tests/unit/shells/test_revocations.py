"""A running aggregator takes newer revocation lists of its own authority, and no others."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from dreamshare.clock import ManualClock
from dreamshare_aggregator.enrolment.revocations import newest, watch
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import RevocationList, Role
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.keys import IdentityKey

NOW = 1_800_000_000.0


class Office:
    """An authority and its aggregator, which holds list 1."""

    def __init__(self, seed: bytes = b"office") -> None:
        entropy = SeededEntropy(seed)
        self.authority = Authority.create(b"F" * 16, entropy, NOW)
        self.hub = self.authority.issue(Role.AGGREGATOR, "hub", entropy, NOW)
        self.phone = self.authority.issue(Role.DEVICE, "phone", entropy, NOW)


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_newer_list_counts(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "revocations"
    assert newest(office.hub, path, NOW) is office.hub
    later = office.authority.revoke(office.phone.certificate.serial, NOW)
    path.write_bytes(later.encode())
    assert newest(office.hub, path, NOW).revocations == later


def test_a_list_that_was_held_back_or_forged_does_not(
    office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    path = tmp_path / "revocations"
    rogue = IdentityKey.generate(SeededEntropy(b"rogue"))
    forged = RevocationList.issue(rogue, b"F" * 16, 9, int(NOW), int(NOW) + 9, ())
    stale = office.authority.refresh(NOW - 365 * 86_400)
    for raw in (office.hub.revocations.encode(), forged.encode(), stale.encode(), b"garbage"):
        path.write_bytes(raw)
        assert newest(office.hub, path, NOW) is office.hub
    assert caplog.text.count("is not used") == 3


async def test_the_watch_applies_each_newer_list_once(office: Office, tmp_path: Path) -> None:
    path, clock = tmp_path / "revocations", ManualClock(NOW)
    applied: asyncio.Queue[Identity] = asyncio.Queue()
    watching = asyncio.create_task(watch(office.hub, path, clock, applied.put_nowait))
    older = office.authority.refresh(NOW)
    newer = office.authority.revoke(office.phone.certificate.serial, NOW)
    path.write_bytes(newer.encode())
    moving = asyncio.create_task(_move(clock))
    try:
        assert (await applied.get()).revocations == newer
        path.unlink()
        path.write_bytes(older.encode())
        last = office.authority.refresh(NOW)
        path.unlink()
        path.write_bytes(last.encode())
        assert (await applied.get()).revocations == last
    finally:
        moving.cancel()
        watching.cancel()


async def _move(clock: ManualClock) -> None:
    """Let time pass as fast as the watch sleeps."""
    while True:
        await asyncio.sleep(0.001)
        if clock.next_wake is not None:
            clock.advance_to(clock.next_wake)
