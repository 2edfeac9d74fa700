"""What can happen to a run, as values: a failing list of them is a test case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tests.sim.rounds.world import World


class Operation(Protocol):
    """One thing that happens."""

    def apply(self, world: World) -> None:
        """Let it happen."""
        ...


@dataclass(frozen=True, slots=True)
class Steps:
    """Deliver and compute, oldest first, so many times."""

    count: int

    def apply(self, world: World) -> None:
        for _ in range(self.count):
            if not world.step():
                return


@dataclass(frozen=True, slots=True)
class Reorder:
    """Deliver a message out of turn."""

    place: int
    up: bool

    def apply(self, world: World) -> None:
        queue = world.up if self.up else world.down
        if queue:
            place = self.place % len(queue)
            (world.deliver_up if self.up else world.deliver_down)(place)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Put a message on its way once more."""

    place: int
    up: bool

    def apply(self, world: World) -> None:
        if self.up and world.up:
            world.up.append(world.up[self.place % len(world.up)])
        elif not self.up and world.down:
            world.down.append(world.down[self.place % len(world.down)])


@dataclass(frozen=True, slots=True)
class Drop:
    """Lose a message for good."""

    place: int
    up: bool

    def apply(self, world: World) -> None:
        queue = world.up if self.up else world.down
        if queue:
            del queue[self.place % len(queue)]


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Cut a device off."""

    device: int

    def apply(self, world: World) -> None:
        device = world.devices[self.device % len(world.devices)]
        if device.connected:
            world.depart(device)


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Connect a device again; messages were missed."""

    device: int

    def apply(self, world: World) -> None:
        device = world.devices[self.device % len(world.devices)]
        if not device.connected:
            world.join(device)


@dataclass(frozen=True, slots=True)
class Crash:
    """Kill a device's process; it comes back from its journal at once."""

    device: int

    def apply(self, world: World) -> None:
        device = world.devices[self.device % len(world.devices)]
        world.crash(device)
        world.join(device)


@dataclass(frozen=True, slots=True)
class CrashAtWrite:
    """Kill a device's process before it writes to disk for the (`writes` + 1)-th time from now."""

    device: int
    writes: int

    def apply(self, world: World) -> None:
        world.devices[self.device % len(world.devices)].writes_left = self.writes


@dataclass(frozen=True, slots=True)
class RestartAggregator:
    """Kill the aggregator's process; it goes on from what it had stored."""

    def apply(self, world: World) -> None:
        if not world.closed:
            world.restart_aggregator()


@dataclass(frozen=True, slots=True)
class KillAggregator:
    """Kill the aggregator's process before its effect of this number from now; 1 is the next."""

    effects: int

    def apply(self, world: World) -> None:
        if not world.closed:
            world.effects_left = self.effects


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass to the coordinator's next deadline."""

    def apply(self, world: World) -> None:
        deadline = world.coordinator.deadline
        if deadline is not None and deadline < world.now + 3600:
            world.tick(deadline)
