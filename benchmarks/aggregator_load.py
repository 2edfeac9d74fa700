"""Devices that load an aggregator with large vectors, thousands of them in one process.

Rules:
- every device is a real one: its own certificate, connection, set-up, masks, signatures, answers;
- what devices of one process may share is shared (`Once`): results of checks of public bytes;
- a device forgets its vector once it is queued, and no more is computed while `ahead` bytes wait to
  be sent: a thousand devices of one process would need a thousand vectors otherwise;
- the random graph may be narrower than SA-2 takes it for so many (`narrow`): masks are what devices
  spend, and the aggregator's memory does not depend on how many there are.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from benchmarks.rig import Handset, permit

from dreamshare.clock import SystemClock
from dreamshare.driver.desk import Seat
from dreamshare.driver.device import DeviceDriver
from dreamshare.engine import ThreadEngine
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.events import Compute, ParticipantEffect, ParticipantInput
from dreamshare.protocol.journal import MemoryJournal
from dreamshare.protocol.participant import Participant
from dreamshare.transport.backoff import BackoffSettings
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare.updates import Update
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import Claims, Derived, Profile, derive_parameters
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg import session as sessions
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.once import Once
from dreamshare_crypto.secagg.phases import Agreed, Answered, Sent

FLOOR = Floor(profiles=(Profile.COMPLETE, Profile.REGULAR))
LOOK_S = 0.02
CONNECTING = 10
"""Devices that greet at the same time: all handshakes at once would outlast their time limits."""


def issue_fleet(folder: Path, devices: int) -> None:
    """Write the keys of one federation: `aggregator.key`, and `0.key` upwards for its devices."""
    entropy, now = SystemEntropy(), time.time()
    authority = Authority.create(entropy.draw(16), entropy, now)
    aggregator = authority.issue(Role.AGGREGATOR, "aggregator", entropy, now, ("127.0.0.1",))
    aggregator.save(folder / "aggregator.key")
    for number in range(devices):
        device = authority.issue(Role.DEVICE, f"device-{number}", entropy, now)
        device.save(folder / f"{number}.key")


@contextmanager
def narrow(neighbours: int) -> Iterator[None]:
    """Let every session above 128 devices have so many neighbours a device; 0 changes nothing."""

    def derived(n: int, claims: Claims) -> Derived:
        right = derive_parameters(n, claims)
        if not neighbours or not right.k:
            return right
        return replace(right, k=neighbours, t=neighbours // 2 + 1)

    with patch.object(sessions, "derive_parameters", derived):
        yield


class Forgetful(MemoryJournal):
    """A journal of a device that is never started again: it keeps no vector."""

    def append(self, record: Record, sync: bool) -> None:
        if record.kind is not RecordKind.VECTOR:
            super().append(record, sync)


class Lean(Participant):
    """A device that forgets its vector once it is queued; nobody asks it twice here."""

    queued: Callable[[], None]

    def handle(self, event: ParticipantInput, now: float) -> tuple[ParticipantEffect, ...]:
        effects = super().handle(event, now)
        phase = self._core.phase
        if isinstance(phase, Sent | Agreed | Answered) and phase.masked:
            self._core._phase = replace(phase, masked=b"")
            self.queued()
        return effects


class Pace:
    """How much the devices of this process may have computed and not sent."""

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead
        self.drivers: list[DeviceDriver] = []
        self._turn = asyncio.Lock()
        self._masking: dict[PartyId, int] = {}  # bytes that a device has computed and not queued

    async def wait(self, device: PartyId, size: int) -> None:
        """Return when there is room for a device's vector, which `queued` follows."""
        async with self._turn:
            while self._waiting() + size > self._ahead:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(LOOK_S)
            self._masking[device] = size

    def queued(self, device: PartyId) -> None:
        """A device's vector is masked, and waits where its driver counts it; from any thread."""
        self._masking.pop(device, None)

    def _waiting(self) -> int:
        callers = (driver._caller.peering for driver in self.drivers)
        queued = sum(peering.backlog for peering in callers if peering is not None)
        return queued + sum(tuple(self._masking.values()))


class Loader(Handset):
    """A device whose answer is one number everywhere."""

    def __init__(
        self, identity: Identity, algorithm: str, pace: Pace, answer: np.ndarray, once: Once
    ) -> None:
        super().__init__(identity, algorithm, 0.0, FLOOR)
        self._pace = pace
        self._id = PartyId(identity.id)
        self._answer = answer
        self._once = once

    def seat(self, task: TaskId) -> Seat | None:
        entropy = SystemEntropy()
        participant = Lean(self._identity, task, FLOOR, entropy, permit, Memory(), once=self._once)
        participant.queued = partial(self._pace.queued, self._id)
        return Seat(participant, Forgetful())

    async def compute(self, task: TaskId, order: Compute) -> Update:
        await self._pace.wait(self._id, 4 * self._answer.size)
        return Update({"x": self._answer})


async def load(
    folder: Path, links: Sequence[str], devices: int, algorithm: str, coordinates: int, ahead: int
) -> None:
    """Be these devices, spread over the links, until standard input ends."""
    pace, once, engine = Pace(ahead), Once.shared(), ThreadEngine()
    answer = np.full(coordinates, 0.25, dtype=np.float32)
    for number in range(devices):
        identity = Identity.load(folder / f"{number}.key")
        loader = Loader(identity, algorithm, pace, answer, once)
        pace.drivers.append(
            DeviceDriver(
                GrpcLink(
                    links[number % len(links)], TlsFiles.of(identity), connect_timeout_s=300.0
                ),
                identity,
                SystemClock(),
                loader,
                loader,
                random.Random(number),
                backoff=BackoffSettings(),
                engine=engine,
            )
        )
    running = []
    for number, driver in enumerate(pace.drivers):
        running.append(asyncio.ensure_future(driver.run()))
        while number - sum(each.connected for each in pace.drivers[:number]) > CONNECTING:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
    await asyncio.to_thread(sys.stdin.read)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    engine.close()
