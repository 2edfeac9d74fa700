"""The rollback anchor's file: whose it is, what it survives, and what counts as missing."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.journal import Anchor, MemoryAnchor
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_edge import anchor as anchor_module
from dreamshare_edge.anchor import FileAnchor, anchor_for
from dreamshare_edge.store import FileStore

TASK = TaskId(bytes(range(16)))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Stands for a tmpfs."""
    return tmp_path / "run"


def test_a_number_survives_the_object(store: Path, place: Path) -> None:
    anchor = FileAnchor(store, [place])
    assert anchor.read() is None
    for number in (1, 2, 300):
        anchor.write(number)
    assert FileAnchor(store, [place]).read() == 300
    assert [path.name for path in place.iterdir()] == [anchor.path.name]
    assert anchor.path.stat().st_mode & 0o777 == 0o600
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_copy_of_the_store_finds_no_anchor(store: Path, place: Path, tmp_path: Path) -> None:
    FileAnchor(store, [place]).write(7)
    clone = tmp_path / "clone"
    shutil.copytree(store, clone)
    assert FileAnchor(clone, [place]).read() is None
    moved = tmp_path / "moved"
    store.rename(moved)
    clone.rename(store)  # in the place of the other, and still not it
    assert FileAnchor(store, [place]).read() is None


def test_two_agents_share_no_anchor(store: Path, place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    one, two = FileAnchor(store, [place]), FileAnchor(other, [place])
    one.write(7)
    two.write(9)
    assert (one.read(), two.read()) == (7, 9)


def test_another_boot_counts_as_missing(
    store: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot_id"
    monkeypatch.setattr(anchor_module, "_BOOT_ID", boot)
    boot.write_text("first\n")
    FileAnchor(store, [place]).write(7)
    assert FileAnchor(store, [place]).read() == 7
    boot.write_text("second\n")
    assert FileAnchor(store, [place]).read() is None
    boot.unlink()  # a platform that does not say
    assert FileAnchor(store, [place]).read() is None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"",
        lambda text: text[:-1],
        lambda text: text.replace(b"7", b"-7"),
        lambda text: text + b"x",
        lambda text: text.replace(b"anchor 1", b"anchor 2"),
        lambda text: b"\xff" * 20,
    ],
)
def test_what_cannot_be_read_counts_as_missing(store: Path, place: Path, change) -> None:
    anchor = FileAnchor(store, [place])
    anchor.write(7)
    head, _, _ = anchor.path.read_bytes().rpartition(b"7")
    anchor.path.write_bytes(change(head + b"7\n"))
    assert anchor.read() is None


def test_the_highest_of_several_places_counts(store: Path, tmp_path: Path) -> None:
    """An agent that once ran without its first folder must not fall back to an old number."""
    first, second = tmp_path / "first", tmp_path / "second"
    FileAnchor(store, [first]).write(7)
    FileAnchor(store, [second]).write(9)
    assert FileAnchor(store, [first, second]).read() == 9


def test_week_old_anchors_are_swept(store: Path, place: Path) -> None:
    place.mkdir(mode=0o700)
    for name, days in (("old", 8), ("young", 6)):
        (place / f"{name}.anchor").touch()
        when = store.stat().st_mtime - days * 86_400
        os.utime(place / f"{name}.anchor", (when, when))
    anchor = FileAnchor(store, [place])
    anchor.write(1)
    assert {path.name for path in place.iterdir()} == {"young.anchor", anchor.path.name}


def test_a_folder_of_somebody_else_is_refused(store: Path, tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(ConfigError, match=r"anchor_folder .* mode 0700"):
        anchor_for(store, open_to_all)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(store)
    for name in ("file", "link"):
        with pytest.raises(ConfigError, match="not a folder"):
            anchor_for(store, tmp_path / name)
    with pytest.raises(ConfigError, match="No such file"):
        anchor_for(store, tmp_path / "nowhere" / "deep")


def test_without_any_place_a_warning_says_what_to_do(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(anchor_module, "_places", lambda: (Path("/nonexistent/anchors"),))
    with caplog.at_level(logging.WARNING):
        anchor = anchor_for(store)
    assert isinstance(anchor, MemoryAnchor)
    assert anchor.read() is None
    assert "Set anchor_folder" in caplog.text


def test_an_anchor_needs_a_folder(store: Path) -> None:
    with pytest.raises(ConfigError):
        FileAnchor(store, [])


class CountedAnchor(MemoryAnchor):
    """Notes what is written, and what was durable then."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[int] = []

    def write(self, number: int) -> None:
        super().write(number)
        self.written.append(number)


def test_one_rewrite_for_the_records_of_one_fsync(store: Path) -> None:
    anchor = CountedAnchor()
    assert isinstance(anchor, MemoryAnchor)
    with FileStore(store, anchor) as device:
        assert device.begin(False).anchor is None
        journal = device.journal(TASK)
        journal.append(Record(RecordKind.COMMIT, b"1"), sync=False)
        journal.append(Record(RecordKind.VECTOR, b"2"), sync=True)
        device.charge(1.0)
        journal.append(Record(RecordKind.CLOSED, b"3"), sync=False)
    assert anchor.written == [0, 2, 3]


def test_an_app_brings_its_own_counter(store: Path) -> None:
    counter: Anchor = MemoryAnchor(5)
    with FileStore(store, counter) as device:
        numbers = device.begin(False)
    assert (numbers.journal, numbers.anchor) == (0, 5)
    assert counter.read() == 6, "the count goes on above what was restored"


def test_an_anchor_that_cannot_be_written_stops_the_device(store: Path) -> None:
    class Full(MemoryAnchor):
        def write(self, number: int) -> None:
            raise OSError(28, "No space left on device")

    with FileStore(store, Full()) as device, pytest.raises(OSError, match="No space"):
        device.journal(TASK).append(Record(RecordKind.VECTOR, b"2"), sync=True)
