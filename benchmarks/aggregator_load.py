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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from benchmarks.rig import Handset, permit

from dreamshare.clock import SystemClock
from dreamshare.driver.desk import Seat
from dreamshare.driver.device import DeviceDriver
from dreamshare.engine import ThreadEngine
from dreamshare.ids import TaskId
from dreamshare.protocol.events import Compute, ParticipantEffect, ParticipantInput
from dreamshare.protocol.journal import MemoryJournal
from dreamshare.protocol.participant import Participant
from dreamshare.transport.backoff import BackoffSettings
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare.updates import Update
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

    def handle(self, event: ParticipantInput, now: float) -> tuple[ParticipantEffect, ...]:
        effects = super().handle(event, now)
        phase = self._core.phase
        if isinstance(phase, Sent | Agreed | Answered) and phase.masked:
            self._core._phase = replace(phase, masked=b"")
        return effects


class Pace:
    """How much the devices of this process may have computed and not sent."""

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead
        self.drivers: list[DeviceDriver] = []
        self._turn = asyncio.Lock()
        self._expected = 0

    async def wait(self, size: int) -> None:
        """Return when there is room for one vector more."""
        async with self._turn:
            while self._waiting() + size > self._ahead:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(LOOK_S)
            await asyncio.sleep(0)

    def _waiting(self) -> int:
        callers = (driver._caller.peering for driver in self.drivers)
        return sum(peering.backlog for peering in callers if peering is not None)


class Loader(Handset):
    """A device whose answer is one number everywhere."""

    def __init__(
        self, identity: Identity, algorithm: str, pace: Pace, answer: np.ndarray, once: Once
    ) -> None:
        super().__init__(identity, algorithm, 0.0, FLOOR)
        self._pace = pace
        self._answer = answer
        self._once = once

    def seat(self, task: TaskId) -> Seat | None:
        entropy = SystemEntropy()
        participant = Lean(self._identity, task, FLOOR, entropy, permit, Memory(), once=self._once)
        return Seat(participant, Forgetful())

    async def compute(self, task: TaskId, order: Compute) -> Update:
        await self._pace.wait(4 * self._answer.size)
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
