"""A device's folder: journals that outlive kills, key slots, the ledger, one agent at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare_crypto.accounting import Charge
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.records import VectorRecord
from dreamshare_crypto.secret import Secret
from dreamshare_edge.store import FileStore

TASK = TaskId(bytes(range(16)))
RECORDS = [
    Record(RecordKind.COMMIT, b"commit"),
    Record(RecordKind.VECTOR, b"y" * 300),
    Record(RecordKind.ANSWER, b"the answer"),
]


def fill(folder: Path, records: list[Record]) -> None:
    with FileStore(folder) as store:
        for record in records:
            store.journal(TASK).append(record, sync=True)


def test_a_journal_comes_back_after_a_restart(tmp_path: Path) -> None:
    fill(tmp_path, RECORDS)
    with FileStore(tmp_path) as store:
        assert list(store.journal(TASK).records()) == RECORDS
        assert store.tasks() == (TASK,)
        assert store.journal(TASK) is store.journal(TASK)
        assert store.journal(TASK).blocks


def test_a_journal_cut_anywhere_in_its_last_record_holds_the_earlier_ones(tmp_path: Path) -> None:
    fill(tmp_path, RECORDS[:2])
    path = tmp_path / "tasks" / TASK.hex() / "journal"
    before = path.stat().st_size
    fill(tmp_path, RECORDS[2:])
    whole = path.read_bytes()
    for cut in range(before, len(whole)):
        path.write_bytes(whole[:cut])
        with FileStore(tmp_path) as store:
            assert list(store.journal(TASK).records()) == RECORDS[:2], cut


def test_slots_are_replaced_and_forgotten(tmp_path: Path) -> None:
    with FileStore(tmp_path) as store:
        journal = store.journal(TASK)
        journal.keep("chain", Secret(b"old"))
        journal.keep("chain", Secret(b"new"))
        journal.keep("wrap/7", Secret(b"seven"))
        journal.forget("wrap/7")
        journal.forget("never there")
    folder = tmp_path / "tasks" / TASK.hex() / "slots"
    assert [p.name for p in folder.iterdir()] == ["chain"]
    assert (folder / "chain").stat().st_mode & 0o777 == 0o600
    with FileStore(tmp_path) as store:
        assert store.journal(TASK).slots() == {"chain": Secret(b"new")}


def test_a_slot_write_that_was_killed_leaves_the_old_value(tmp_path: Path) -> None:
    with FileStore(tmp_path) as store:
        store.journal(TASK).keep("chain", Secret(b"old"))
    folder = tmp_path / "tasks" / TASK.hex() / "slots"
    (folder / ".chain.new").write_bytes(b"half of the n")
    with FileStore(tmp_path) as store:
        assert store.journal(TASK).slots() == {"chain": Secret(b"old")}
    assert not (folder / ".chain.new").exists()


@pytest.mark.parametrize("name", ["", "x" * 121, ".hidden"])
def test_a_slot_name_that_cannot_be_a_file_is_refused(tmp_path: Path, name: str) -> None:
    with FileStore(tmp_path) as store, pytest.raises(ConfigError, match="cannot name a file"):
        store.journal(TASK).keep(name, Secret(b"x"))


def test_two_agents_cannot_share_a_folder(tmp_path: Path) -> None:
    with FileStore(tmp_path), pytest.raises(ConfigError, match="another agent uses"):
        FileStore(tmp_path)
    FileStore(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot use the folder"):
        FileStore(tmp_path / "file" / "store")


def test_a_dropped_task_leaves_nothing(tmp_path: Path) -> None:
    fill(tmp_path, RECORDS)
    with FileStore(tmp_path) as store:
        store.drop(TASK)
        assert store.tasks() == ()
        assert not (tmp_path / "tasks" / TASK.hex()).exists()
        assert store.journal(TASK).records() == []


def test_what_a_dropped_task_cost_is_remembered(tmp_path: Path) -> None:
    charge = Charge(100.0, 5.0, 9.0)
    vector = VectorRecord(bytes(32), 3, bytes(32), charge, 1_800_000_000, b"masked" * 1000)
    with FileStore(tmp_path) as store:
        store.journal(TASK).append(vector.record(), sync=True)
        store.drop(TASK)
    with FileStore(tmp_path) as store:
        (left,) = store.remembered()
        assert left == vector.spent().record()
        assert len(left.body) < 100  # the vector itself is gone
        assert Memory.from_records([left]).ledger.charges(0.0) == (charge,)


def test_blobs_are_kept(tmp_path: Path) -> None:
    with FileStore(tmp_path) as store:
        assert store.load("learner") is None
        store.save("learner", b"weights")
    with FileStore(tmp_path) as store:
        assert store.load("learner") == b"weights"


def test_records_and_charges_at_the_same_time(tmp_path: Path) -> None:
    """Two tasks' journals and the ledger have a thread each; the anchor follows all of them."""
    (tmp_path / "anchors").mkdir(mode=0o700)
    rounds = 150
    with FileStore(tmp_path / "store", tmp_path / "anchors") as store:
        store.begin(resume_without_anchor=True)

        def write(number: int) -> None:
            journal = store.journal(TaskId(bytes([number]) * 16))
            for _ in range(rounds):
                journal.append(RECORDS[0], sync=True)

        def charge() -> None:
            for _ in range(rounds):
                store.charge(1.0)

        with ThreadPoolExecutor(3) as pool:
            works = [pool.submit(write, 1), pool.submit(write, 2), pool.submit(charge)]
            for work in works:
                work.result()
    with FileStore(tmp_path / "store", tmp_path / "anchors") as store:
        numbers = store.begin(resume_without_anchor=False)
        assert (numbers.journal, numbers.anchor) == (3 * rounds, 3 * rounds)
