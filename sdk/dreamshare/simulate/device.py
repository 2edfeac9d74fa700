"""A virtual device: the real driver and machines, a learner that computes where it is asked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from dreamshare.binding import CatalogWork
from dreamshare.clock import Clock
from dreamshare.driver.desk import Seat
from dreamshare.driver.device import DeviceDriver
from dreamshare.driver.waiting import stop
from dreamshare.errors import ConfigError
from dreamshare.ids import PartyId, TaskId
from dreamshare.learning.tape import Tape
from dreamshare.protocol.events import Compute, KeepEvidence, Learn
from dreamshare.protocol.journal import MemoryJournal
from dreamshare.protocol.messages import CheckIn
from dreamshare.protocol.outcomes import DeviceOutcome
from dreamshare.protocol.plan import RoundPlan
from dreamshare.simulate.faults import Mortal, corrupted
from dreamshare.simulate.values import SimulatedDevice
from dreamshare.transport.memory import MemoryNetwork
from dreamshare.updates import Update
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.once import Once


class VirtualDevice:
    """One device of a simulation; its own desk and worker.

    Args:
        identity: its own.
        device: learner, data and seed.
        work: what it computes.
        algorithm: the one that it offers.
        floor: what it insists on.
        entropy: of its keys.
        dies_at: the answer at which it dies, counted from 0; None for never.
        once: what its neighbours in the process found out already.
        stopwatch: times what it computes.
    """

    def __init__(
        self,
        identity: Identity,
        device: SimulatedDevice,
        work: CatalogWork,
        algorithm: str,
        floor: Floor,
        entropy: SeededEntropy,
        dies_at: int | None,
        once: Once,
        stopwatch: Callable[[], float],
    ) -> None:
        self.compute_s = 0.0
        self.id = PartyId(identity.id)
        self._identity = identity
        self._device = device
        self._work = work
        self._algorithm = algorithm
        self._floor = floor
        self._entropy = entropy
        self._dies_at = dies_at
        self._once = once
        self._stopwatch = stopwatch
        self._tape: Tape | None = None
        self._answers = 0
        self._memory = Memory()
        self._driver: DeviceDriver | None = None
        self._running: asyncio.Task[None] | None = None
        self._network: MemoryNetwork | None = None
        self._clock: Clock | None = None

    def start(self, network: MemoryNetwork, clock: Clock) -> None:
        """Connect and serve."""
        jitter = random.Random(self._entropy.fork("jitter").draw(16))
        link = network.link(self.id.hex())
        self._network = network
        self._tape = Tape(clock)
        self._driver = DeviceDriver(link, self._identity, clock, self, self, jitter)
        self._clock = clock
        self._running = asyncio.ensure_future(self._serve(self._driver))

    async def _serve(self, driver: DeviceDriver) -> None:
        await self._pause(self._device.traits.arrives_s)
        await driver.run()

    async def _pause(self, seconds: float) -> None:
        if seconds and self._clock is not None:
            await self._clock.sleep_until(self._clock.now() + seconds)

    async def stop(self) -> tuple[DeviceOutcome, ...]:
        """Stop, dead or alive, and return what happened.

        Raises:
            DreamshareError: the driver failed.
        """
        if self._driver is None or self._running is None:
            return ()
        await self._driver.close()
        if self._running.cancelled():
            await stop(self._running)
        else:
            await self._running
        return tuple([outcome async for outcome in self._driver.outcomes()])

    # ---- desk ------------------------------------------------------------------------------------

    def check_in(self) -> CheckIn:
        return CheckIn((self._algorithm,))

    def stored(self) -> Sequence[Seat]:
        return ()

    def seat(self, task: TaskId) -> Seat | None:
        participant = Mortal(
            self._identity,
            task,
            self._floor,
            self._entropy,
            self._permit,
            self._memory,
            once=self._once,
        )
        participant.dies(self._device.traits.lost_at, self._vanish)
        return Seat(participant, MemoryJournal())

    def leave(self, task: TaskId) -> None:
        """Nothing is kept of a task."""

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        raise ConfigError(f"the simulated aggregator contradicts itself: {evidence.code}")

    def _permit(self, plan: RoundPlan) -> None:
        if plan.algorithm != self._algorithm:
            raise ConfigError(f"this device computes {self._algorithm}, not {plan.algorithm}")

    # ---- worker ----------------------------------------------------------------------------------

    async def compute(self, task: TaskId, order: Compute) -> Update:
        if self._answers == self._dies_at:
            await self._die()
        self._answers += 1
        rng = self._rng(order.payload_hash)
        own = self._device
        with self._timed():
            update = self._work.compute(order, own.learner, own.data, rng, self._tape)
        await self._pause(own.traits.compute_s)
        return corrupted(update, order.fields, own.traits.corrupt, rng)

    async def learn(self, task: TaskId, order: Learn) -> None:
        rng = self._rng(order.plan.payload().hash)
        with self._timed():
            self._work.learn(order, self._device.learner, self._device.data, rng)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = self._stopwatch()
        try:
            yield
        finally:
            self.compute_s += self._stopwatch() - began

    def _rng(self, payload_hash: bytes) -> np.random.Generator:
        return np.random.default_rng([self._device.seed, *self.id, *payload_hash])

    async def _die(self) -> None:
        self._vanish()
        await asyncio.get_running_loop().create_future()

    def _vanish(self) -> None:
        """Die: no goodbye, no further packet."""
        if self._network is not None and self._running is not None:
            self._network.cut(self.id.hex())
            self._running.cancel()
