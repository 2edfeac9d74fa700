"""What can happen to devices and an aggregator, as values: a failing list of them is a test case.

Places and device numbers wrap around, so that every value means something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.secagg.events import Left, Stage
from tests.sim.secagg.disk import Fuse, When

if TYPE_CHECKING:
    from tests.sim.secagg.world import Node, World


class Operation(Protocol):
    """One thing that happens."""

    def apply(self, world: World) -> None:
        """Let it happen."""
        ...


def _node(world: World, number: int) -> Node:
    return world.nodes[number % len(world.nodes)]


@dataclass(frozen=True, slots=True)
class Deliver:
    """Deliver so many messages and let devices compute, oldest first."""

    count: int

    def apply(self, world: World) -> None:
        for _ in range(self.count):
            for node in world.nodes:
                world.compute(node)
            if world.wires:
                world.deliver(0)


@dataclass(frozen=True, slots=True)
class Settle:
    """Deliver and compute, oldest first, until nothing is on its way."""

    def apply(self, world: World) -> None:
        world.settle()


@dataclass(frozen=True, slots=True)
class Until:
    """Deliver and compute, oldest first, until a message of this stage is on its way."""

    stage: Stage

    def apply(self, world: World) -> None:
        while world.busy and all(packet.stage is not self.stage for packet in world.wires):
            Deliver(1).apply(world)


@dataclass(frozen=True, slots=True)
class Storm:
    """Deliver so many messages in any order; some twice, some never.

    Attributes:
        seed: which order.
        count: how many.
        losses: of 256 messages, how many are lost.
        repeats: of 256 messages, how many arrive again later.
    """

    seed: int
    count: int
    losses: int
    repeats: int

    def apply(self, world: World) -> None:
        dice = SeededEntropy(self.seed.to_bytes(4, "little"))
        for _ in range(self.count):
            place, fate, slow = dice.draw(3)
            if slow < 64:
                world.compute(_node(world, slow))
            if not world.wires:
                continue
            place %= len(world.wires)
            if fate < self.losses:
                world.wires.pop(place)
            else:
                world.deliver(place, keeps=fate >= 256 - self.repeats)


@dataclass(frozen=True, slots=True)
class Reorder:
    """Deliver one message out of turn."""

    place: int

    def apply(self, world: World) -> None:
        if world.wires:
            world.deliver(self.place % len(world.wires))


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Deliver a message that arrives once more later."""

    place: int

    def apply(self, world: World) -> None:
        if world.wires:
            world.deliver(self.place % len(world.wires), keeps=True)


@dataclass(frozen=True, slots=True)
class Delay:
    """Let a message be overtaken by all others."""

    place: int

    def apply(self, world: World) -> None:
        if world.wires:
            world.wires.append(world.wires.pop(self.place % len(world.wires)))


@dataclass(frozen=True, slots=True)
class Drop:
    """Lose a message for good."""

    place: int

    def apply(self, world: World) -> None:
        if world.wires:
            world.wires.pop(self.place % len(world.wires))


@dataclass(frozen=True, slots=True)
class Finish:
    """Let one device finish what it computes."""

    device: int

    def apply(self, world: World) -> None:
        world.compute(_node(world, self.device))


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut a device's link; the aggregator notices or not."""

    device: int
    noticed: bool

    def apply(self, world: World) -> None:
        node = _node(world, self.device)
        world.cut(node)
        if self.noticed:
            world.serve(Left(node.id))


@dataclass(frozen=True, slots=True)
class Mend:
    """Bring a device back, started again from its disk if its process is gone."""

    device: int

    def apply(self, world: World) -> None:
        world.mend(_node(world, self.device))


@dataclass(frozen=True, slots=True)
class Crash:
    """Kill a device's process at its `writes`-th write from now; 0 kills it where it stands."""

    device: int
    writes: int
    when: When = When.AFTER
    keeps: bool = False

    def apply(self, world: World) -> None:
        node = _node(world, self.device)
        if not node.running:
            return
        node.disk.fuse = Fuse(self.writes, self.when, self.keeps)
        if self.writes == 0:
            world.crash(node)


@dataclass(frozen=True, slots=True)
class Open:
    """The owner opens a round where one can be opened."""

    def apply(self, world: World) -> None:
        world.open()


@dataclass(frozen=True, slots=True)
class Renew:
    """A new epoch is offered, whatever became of the old one."""

    def apply(self, world: World) -> None:
        world.renew()


@dataclass(frozen=True, slots=True)
class Wait:
    """Time moves to the aggregator's deadline."""

    def apply(self, world: World) -> None:
        world.wait()


@dataclass(frozen=True, slots=True)
class Sleep:
    """Time moves by so many seconds."""

    seconds: int

    def apply(self, world: World) -> None:
        world.now += self.seconds
        world.tick()


@dataclass(frozen=True, slots=True)
class Replay:
    """The network delivers any message that was ever sent to any party, in place of `place`.

    A message of a device stays that device's: the envelope names and proves its sender (14.1).
    """

    old: int
    device: int
    place: int | None

    def apply(self, world: World) -> None:
        if not world.everything:
            return
        if self.place is not None and world.wires:
            world.wires.pop(self.place % len(world.wires))
        world.replay(world.everything[self.old % len(world.everything)], self.device)
