"""What the device's surroundings allow right now: power and network.

Rules:
- `DeviceConditions` is the seam: an app answers it from its platform, a test moves it by hand;
- None means 'this device cannot tell'; the policy decides what that counts for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Conditions:
    """One reading.

    Attributes:
        charging: on external power; None where the device cannot tell.
        unmetered: on a network that costs nothing by the byte; None where it cannot tell.
    """

    charging: bool | None = None
    unmetered: bool | None = None


class DeviceConditions(Protocol):
    """Where an agent reads its surroundings."""

    def read(self) -> Conditions:
        """Return the present conditions; called before every round, must not block."""
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
