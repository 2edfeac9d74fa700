"""When a device may stay away: which ones no task needs, and until when.

Rules:
- a device is not needed while no unfinished task that is not paused runs an algorithm that it
  offers; a device that lied is not needed by the task that it spoilt;
- each is told a time of its own, half to one and a half of the window, so that a fleet does not
  come back at once;
- who was told and is still here is told again only when that time is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dreamshare.ids import PartyId
from dreamshare.protocol.messages import DeviceStatus, TaskStatus
from dreamshare_crypto.entropy import Entropy


def not_needed(
    devices: Iterable[DeviceStatus], wanting: Sequence[TaskStatus]
) -> tuple[PartyId, ...]:
    """Return the devices here that offer nothing which these tasks run."""
    return tuple(
        device.device
        for device in devices
        if device.connected
        and device.algorithms
        and not any(
            task.algorithm in device.algorithms and device.device not in task.faulty
            for task in wanting
        )
    )


def spread(window_s: float, entropy: Entropy) -> float:
    """Return a time between half of the window and one and a half of it, uniformly drawn."""
    part = int.from_bytes(entropy.draw(7), "little") / 2**56
    return window_s * (0.5 + part)


class Absences:
    """Who was told to stay away.

    Args:
        window_s: seconds, about; 0 sends nobody away.
        entropy: of the spread.
    """

    def __init__(self, window_s: float, entropy: Entropy) -> None:
        self._window_s = window_s
        self._entropy = entropy
        self._until: dict[PartyId, float] = {}

    def next(
        self, devices: Iterable[DeviceStatus], wanting: Sequence[TaskStatus], now: float
    ) -> tuple[tuple[PartyId, float], ...]:
        """Return whom to tell now, each with the seconds that it may stay away."""
        if not self._window_s:
            return ()
        self._until = {device: until for device, until in self._until.items() if until > now}
        told = tuple(
            (device, spread(self._window_s, self._entropy))
            for device in not_needed(devices, wanting)
            if device not in self._until
        )
        self._until.update((device, now + for_s) for device, for_s in told)
        return told
