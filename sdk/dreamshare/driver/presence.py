"""Devices that come and go: every task is told, and the shell is."""

from __future__ import annotations

from collections.abc import Mapping

from dreamshare.driver.front import FrontDesk
from dreamshare.driver.task import TaskRun
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol import events


class Presence:
    """Who has to hear of devices.

    Args:
        runs: the tasks at work, looked at and never changed.
        front: the shell's answers.
    """

    def __init__(self, runs: Mapping[TaskId, TaskRun], front: FrontDesk) -> None:
        self.runs = runs
        self.front = front

    def joined(self, joined: events.Joined) -> None:
        """A device checked in, here or at a shard."""
        for run in self.runs.values():
            run.give(joined)
        self.front.device_came(joined.device)

    def departed(self, device: PartyId) -> None:
        """A device is nowhere any more."""
        for run in self.runs.values():
            run.give(events.Departed(device))
        self.front.device_went(device)
