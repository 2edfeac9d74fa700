"""61: a disk that was restored or cloned ends the session (J1), a killed process goes on (9.7).

The attack that the anchor is there for: a device answers a round over U, its disk is put back to
before that, and it is asked for the same round over another U. A share of each kind of one dealer
would leave it. Real folders, a real store; the machine is the one of the other tests.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dreamshare.ids import TaskId
from dreamshare.protocol.journal import MemoryAnchor
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.client import SecaggClient
from dreamshare_crypto.secagg.events import EndReason, EpochOver, RecordKind, Refuse, Stage, Ticked
from dreamshare_crypto.secagg.phases import Agreed, Answered, Idle, Sent
from dreamshare_crypto.secagg.refusals import EpochRefused
from dreamshare_crypto.secagg.rollback import Numbers, check_numbers
from dreamshare_edge.store import FileStore
from tests.sim.secagg.federation import TASK
from tests.sim.secagg.hostile import Hostile, ready_cohort


@dataclass
class Disk:
    """Device 0 with a folder of its own; `save` is what its driver does with effects."""

    hostile: Hostile
    folder: Path
    anchor: MemoryAnchor = field(default_factory=MemoryAnchor)
    written: int = 0

    @property
    def party(self):
        return self.hostile.cohort.parties[0]

    def save(self) -> None:
        """Write what the machine has journalled since, as one process after another would."""
        with FileStore(self.folder, self.anchor) as store:
            store.begin(False)
            journal = store.journal(TaskId(TASK))
            for record in self.party.journal.records[self.written :]:
                journal.append(record, sync=True)
            for slot in set(journal.slots()) - set(self.party.journal.slots):
                journal.forget(slot)
            for slot, secret in self.party.journal.slots.items():
                journal.keep(slot, secret)
        self.written = len(self.party.journal.records)

    def copy(self, place: Path) -> Path:
        return Path(shutil.copytree(self.folder, place))

    def put_back(self, copy: Path) -> None:
        """Restore a backup in place."""
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)

    def restart(
        self, folder: Path | None = None, waived: bool = False, checked: bool = True
    ) -> None:
        """Start a process on a folder, by default the device's own."""
        with FileStore(self.folder if folder is None else folder, self.anchor) as store:
            numbers = store.begin(waived) if checked else None
            journal = store.journal(TaskId(TASK))
            self.party.journal.records = list(journal.records())
            self.party.journal.slots = dict(journal.slots())
            self.party.client = SecaggClient.restore(
                self.party.identity,
                TASK,
                self.party.floor,
                self.party.entropy,
                self.party.journal.records,
                self.party.journal.slots,
                numbers=numbers,
            )

    def sits_out(self) -> bool:
        """Whether the session ends with J1 and its keys are gone from machine and disk."""
        effects = self.party.handle(Ticked(), self.hostile.cohort.now)
        refusals = [effect.code for effect in effects if isinstance(effect, Refuse)]
        ended = bool(effects) and effects[-1] == EpochOver(EndReason.ROLLED_BACK)
        idle = isinstance(self.party.client.phase, Idle)
        return ended and idle and refusals == ["J1"] and "chain" not in self.party.journal.slots


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Device 0 has sent its vector of round 0, and its disk says so."""
    disk = Disk(ready_cohort(), tmp_path / "store")
    disk.hostile.give_start(0, disk.hostile.start())
    disk.save()
    return disk


def ask(disk: Disk, survivors: range) -> None:
    """Take device 0 through unmasking over one set of survivors."""
    shown = disk.hostile.survivors(disk.hostile.start(), survivors)
    disk.hostile.give(0, shown)
    disk.hostile.give(0, disk.hostile.agree_set(shown, range(6)))


def shares_of_nine(disk: Disk) -> set[bytes]:
    """Return every share of device 9's secrets that device 0 has given away."""
    start = disk.hostile.start()
    bodies = disk.party.sent(Stage.UNMASK_RESPONSE)
    return {disk.hostile.shares_of(body, start)[9] for body in bodies}


def test_rolled_back_store(disk: Disk, tmp_path: Path) -> None:
    backup = disk.copy(tmp_path / "backup")
    ask(disk, range(10))
    disk.save()
    disk.put_back(backup)
    disk.restart()
    assert disk.sits_out()
    ask(disk, range(9))
    assert len(shares_of_nine(disk)) == 1


def test_rolled_back_store_without_the_check(disk: Disk, tmp_path: Path) -> None:
    """What the check is for: shares of both kinds of device 9's secrets leave device 0."""
    backup = disk.copy(tmp_path / "backup")
    ask(disk, range(10))
    disk.save()
    disk.put_back(backup)
    disk.restart(checked=False)
    assert isinstance(disk.party.client.phase, Sent)
    ask(disk, range(9))
    assert len(shares_of_nine(disk)) == 2


def test_cloned_store(disk: Disk, tmp_path: Path) -> None:
    clone = disk.copy(tmp_path / "clone")
    disk.anchor = MemoryAnchor()  # of another machine, or of another folder on this one
    disk.restart(clone)
    assert disk.sits_out()
    ask(disk, range(9))
    assert disk.party.sent(Stage.UNMASK_RESPONSE) == []


def test_killed_process(disk: Disk) -> None:
    ask(disk, range(10))
    disk.save()
    (answer,) = disk.party.sent(Stage.UNMASK_RESPONSE)
    disk.restart()
    assert isinstance(disk.party.client.phase, Answered)
    disk.party.handle(Ticked(), disk.hostile.cohort.now)
    assert disk.party.sent(Stage.UNMASK_RESPONSE) == [answer, answer]


def test_killed_between_record_and_anchor(disk: Disk) -> None:
    """The record is durable, the anchor one behind it: nothing was sent, and nothing is wrong."""
    before = disk.anchor.read()
    disk.hostile.give(0, disk.hostile.survivors(disk.hostile.start(), range(10)))
    disk.save()
    assert before is not None
    assert disk.anchor.read() == before + 1
    disk.anchor.write(before)
    disk.restart()
    assert isinstance(disk.party.client.phase, Agreed)
    assert disk.anchor.read() == before + 1


def test_resume_without_anchor(disk: Disk) -> None:
    disk.anchor = MemoryAnchor()
    disk.restart(waived=True)
    assert isinstance(disk.party.client.phase, Sent)
    ask(disk, range(10))
    assert len(disk.party.sent(Stage.UNMASK_RESPONSE)) == 1


def test_resume_without_anchor_waives_no_older_copy(disk: Disk, tmp_path: Path) -> None:
    backup = disk.copy(tmp_path / "backup")
    ask(disk, range(10))
    disk.save()
    disk.put_back(backup)
    disk.restart(waived=True)
    assert disk.sits_out()


def test_one_task_rolled_back_alone(disk: Disk, tmp_path: Path) -> None:
    """Records are counted over all tasks: a single older journal is missed in the sum."""
    backup = disk.copy(tmp_path / "backup")
    ask(disk, range(10))
    disk.save()
    with FileStore(disk.folder, disk.anchor) as store:
        store.begin(False)
    shutil.rmtree(disk.folder / "tasks" / TASK.hex())
    shutil.copytree(backup / "tasks" / TASK.hex(), disk.folder / "tasks" / TASK.hex())
    disk.restart()
    assert disk.sits_out()


def test_killed_while_sessions_end(disk: Disk, tmp_path: Path) -> None:
    """The anchor was rewritten, ENDED was not written: the keys are gone, so nothing resumes."""
    backup = disk.copy(tmp_path / "backup")
    ask(disk, range(10))
    disk.save()
    disk.put_back(backup)
    disk.restart()
    disk.restart()
    assert disk.sits_out()
    kinds = [record.kind for record in disk.party.journal.records]
    assert kinds[-1] is RecordKind.ENDED


def test_a_dropped_task_still_counts(disk: Disk) -> None:
    with FileStore(disk.folder, disk.anchor) as store:
        store.begin(False)
        store.drop(TaskId(TASK))
    count = disk.anchor.read()
    with FileStore(disk.folder, disk.anchor) as store:
        numbers = store.begin(False)
    assert count is not None
    check_numbers(numbers)
    assert numbers.journal > count


@pytest.mark.parametrize(
    ("journal", "anchor", "waived", "ends"),
    [
        (7, 7, False, False),
        (8, 7, False, False),  # killed between record and anchor
        (9, 7, False, False),  # COMMIT shares VECTOR's fsync
        (6, 7, False, True),
        (0, 7, False, True),
        (7, None, False, True),
        (7, None, True, False),
        (6, 7, True, True),
    ],
)
def test_numbers(journal: int, anchor: int | None, waived: bool, ends: bool) -> None:
    numbers = Numbers(journal, anchor, waived)
    if not ends:
        check_numbers(numbers)
        return
    with pytest.raises(EpochRefused) as caught:
        check_numbers(numbers)
    assert caught.value.code is RefusalCode.J1
