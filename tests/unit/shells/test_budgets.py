"""Rounds and bytes of a day: over restarts, reboots and clocks that jump."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamshare.clock import ManualClock
from dreamshare.transport.tap import ByteCounter
from dreamshare_edge.budgets import DayBook, Running, Used, uptime_of_boot
from dreamshare_edge.log import AppendLog, DamagedLog
from dreamshare_edge.spending import NOTED_BYTES, Spending
from dreamshare_edge.store import FileStore

DAY = 86_400.0
T = 1_800_000_000.0


class Machine:
    """A machine with a wall clock and an uptime, both moved by hand, and a ledger on its disk."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger"
        self.boots = 1
        self.up = 100.0
        self.wall = T
        self.start()

    def start(self) -> None:
        """A process of the agent: its clock is the wall's at first, then never jumps."""
        self.log = AppendLog.open(self.path)
        self.book = DayBook(self.log, lambda: Running(bytes([self.boots]) * 16, self.up))
        self.now = self.wall
        self.book.wake(self.now)

    def restart(self, off_s: float = 0.0, wall: float | None = None, reboot: bool = False) -> None:
        self.log.close()
        self.up += off_s
        self.wall = self.wall + off_s if wall is None else wall
        if reboot:
            self.boots += 1
            self.up = 5.0
        self.start()

    def live(self, seconds: float) -> None:
        self.up += seconds
        self.wall += seconds
        self.now += seconds

    def rounds(self) -> int:
        return self.book.used(self.now).rounds


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.log.close()


def test_a_sliding_day(machine: Machine) -> None:
    machine.book.enter(machine.now, 1, 10)
    machine.live(10)
    machine.book.enter(machine.now, 1, 5)
    machine.live(DAY - 10)
    assert machine.book.used(machine.now) == Used(2, 15)  # the first is just 24 hours old
    machine.live(1)
    assert machine.book.used(machine.now) == Used(1, 5)
    machine.live(10)
    assert machine.book.used(machine.now) == Used()


@pytest.mark.parametrize("reboot", [False, True])
def test_a_restart_forgets_nothing(machine: Machine, reboot: bool) -> None:
    machine.book.enter(machine.now, 3, 7)
    machine.restart(off_s=3600, reboot=reboot)
    assert machine.book.used(machine.now) == Used(3, 7)
    machine.live(DAY - 3600)
    assert machine.rounds() == 3
    machine.live(1)
    assert machine.rounds() == 0


def test_a_clock_that_is_put_forward_buys_nothing(machine: Machine) -> None:
    machine.book.enter(machine.now, 3, 0)
    machine.restart(wall=T + 400 * DAY)
    assert machine.rounds() == 3, "the machine ran all the time: no day has passed"
    machine.live(DAY + 1)
    assert machine.rounds() == 0


@pytest.mark.parametrize("reboot", [False, True])
def test_a_clock_that_is_put_back_locks_out_for_a_day_at_most(
    machine: Machine, reboot: bool
) -> None:
    """As a board without a battery for its clock after a power failure: it is 1970 again."""
    machine.book.enter(machine.now, 3, 0)
    machine.restart(wall=0.0, reboot=reboot)
    assert machine.rounds() == 3
    machine.live(DAY / 2)
    machine.restart(reboot=False)
    assert machine.rounds() == 3
    machine.live(DAY / 2 + 1)
    assert machine.rounds() == 0


def test_a_year_of_a_wrong_clock_is_forgotten_after_a_day(machine: Machine) -> None:
    machine.restart(wall=T + 4000 * DAY, reboot=True)
    machine.book.enter(machine.now, 3, 0)
    machine.restart(wall=T + 60, reboot=True)
    assert machine.rounds() == 3
    machine.live(DAY + 1)
    assert machine.rounds() == 0


def test_ledgers_of_earlier_releases_are_read(tmp_path: Path) -> None:
    log = AppendLog.open(tmp_path / "ledger")
    for moment in (T - DAY - 1, T - 5, T):
        log.append(struct.pack("<d", moment), sync=True)
    assert DayBook(log, lambda: Running(bytes(16), 0.0)).used(T) == Used(2)
    log.append(b"something else", sync=True)
    with pytest.raises(DamagedLog, match="a record of 14 bytes"):
        DayBook(log)
    log.close()


def test_bytes_count_before_they_are_noted_and_are_noted_with_rounds(tmp_path: Path) -> None:
    traffic, clock = ByteCounter(), ManualClock(T)
    with FileStore(tmp_path) as store:
        spending = Spending(store, traffic, clock)
        traffic.sent("", bytes(100))
        assert spending.used() == Used(0, 100)
        assert store.used_today(T) == Used()
        spending.settle(least=NOTED_BYTES)
        assert store.used_today(T) == Used(), "too little to be worth a record"
        traffic.received("", bytes(20))
        spending.charge_round()
        assert store.used_today(T) == spending.used() == Used(1, 120)
        traffic.received("", bytes(NOTED_BYTES))
        spending.settle(least=NOTED_BYTES - 1)
        assert store.used_today(T) == Used(1, 120 + NOTED_BYTES)
    with FileStore(tmp_path) as store:
        assert store.used_today(T + 60) == Used(1, 120 + NOTED_BYTES)


def test_this_machine_knows_its_boot() -> None:
    first, second = uptime_of_boot(), uptime_of_boot()
    assert first.boot == second.boot
    assert len(first.boot) == 16
    assert first.seconds <= second.seconds
