"""What the device's surroundings allow right now: power, network, who uses it, and the hour.

Rules:
- `DeviceConditions` is the seam: an app answers it from its platform, a test moves it by hand;
- what takes a while to find out is found out in `refresh`, in a thread of the agent's;
- None means 'this device cannot tell'; the policy decides what that counts for.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, runtime_checkable

from dreamshare.clock import Clock


@dataclass(frozen=True, slots=True)
class Conditions:
    """One reading.

    Attributes:
        charging: on external power; None where the device cannot tell.
        unmetered: on a network that costs nothing by the byte; None where it cannot tell.
        idle: nobody uses it; None where it cannot tell.
        battery: charge of the emptiest battery in percent, 0 to 100; 100 without any; None where
            it cannot tell.
        minute: minutes since midnight on the device's own clock, 0 to 1439; None where it cannot
            tell.
    """

    charging: bool | None = None
    unmetered: bool | None = None
    idle: bool | None = None
    battery: int | None = None
    minute: int | None = None


class DeviceConditions(Protocol):
    """Where an agent reads its surroundings."""

    def read(self) -> Conditions:
        """Return the present conditions; called before every round, must not block."""
        ...


@runtime_checkable
class Refreshed(Protocol):
    """Conditions that have to be asked for, such as those of a system service."""

    def refresh(self) -> None:
        """Find out what `read` returns from now on.

        Called in a thread, when the agent opens and then every half minute; may block for some
        seconds. What cannot be found out is None in `read`, not an error.
        """
        ...


class ManualConditions:
    """Conditions that the embedding app (or a test) sets; starts as 'cannot tell'."""

    def __init__(self, conditions: Conditions = Conditions()) -> None:
        self._conditions = conditions

    def read(self) -> Conditions:
        return self._conditions

    def change(self, conditions: Conditions) -> None:
        """Set what `read` returns from now on."""
        self._conditions = conditions


class LocalHour:
    """Conditions with the local time of day where their source does not name one.

    Args:
        conditions: power and network.
        clock: what time it is; the machine's time zone says what that is here.
    """

    def __init__(self, conditions: DeviceConditions, clock: Clock) -> None:
        self._conditions = conditions
        self._clock = clock

    def read(self) -> Conditions:
        """See `DeviceConditions`."""
        found = self._conditions.read()
        if found.minute is not None:
            return found
        here = datetime.fromtimestamp(self._clock.now()).astimezone()
        return replace(found, minute=60 * here.hour + here.minute)


def conditions_of(name: str) -> DeviceConditions:
    """Return the source that settings name: 'linux', 'none', or 'auto' for this platform's."""
    if name == "linux" or (name == "auto" and sys.platform == "linux"):
        from dreamshare_edge.conditions_linux import LinuxConditions

        return LinuxConditions()
    return ManualConditions()
