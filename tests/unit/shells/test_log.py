"""The append-only log: whole records or none, whatever instant the process is killed at."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_edge.log import AppendLog, DamagedLog, write_atomically

FIRST = [b"one", b"", b"three" * 100]
LAST = b"the last record, 34 bytes in length"


def write(path: Path, payloads: list[bytes]) -> None:
    log = AppendLog.open(path)
    for payload in payloads:
        log.append(payload, sync=False)
    log.close()


def contents(path: Path) -> list[bytes]:
    log = AppendLog.open(path)
    found = list(log.read())
    log.close()
    return found


def test_records_come_back_in_order_and_appending_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, FIRST)
    write(path, [LAST])
    assert contents(path) == [*FIRST, LAST]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_kill_inside_the_last_record_drops_that_record_alone(tmp_path: Path) -> None:
    """Cut the file at every byte of its last record: the earlier ones stay, and it goes on."""
    path = tmp_path / "log"
    write(path, FIRST)
    before = path.stat().st_size
    write(path, [LAST])
    whole = path.read_bytes()
    assert len(whole) == before + 16 + len(LAST)  # u32 length, u32 crc, u64 number
    for cut in range(before, len(whole)):
        path.write_bytes(whole[:cut])
        assert contents(path) == FIRST, cut
        assert path.stat().st_size == before, "the torn tail is cut off"
        write(path, [b"again"])
        assert contents(path) == [*FIRST, b"again"], cut


def test_a_last_record_with_a_wrong_byte_is_a_torn_tail(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, FIRST)
    before = path.stat().st_size
    write(path, [LAST])
    whole = path.read_bytes()
    for place in range(before, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        assert contents(path) == FIRST, place


def test_damage_before_a_whole_record_is_refused_not_cut(tmp_path: Path) -> None:
    """Cutting there would forget a record that was durable: the device might answer twice."""
    path = tmp_path / "log"
    write(path, [*FIRST, LAST])
    whole = bytearray(path.read_bytes())
    whole[-len(LAST) - 16 - 5] ^= 1  # a byte inside the payload of the third record
    path.write_bytes(whole)
    with pytest.raises(DamagedLog, match="damaged after record 2"):
        AppendLog.open(path)
    assert path.read_bytes() == bytes(whole), "a refused file is left as it is"


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"something else entirely")
    with pytest.raises(DamagedLog, match="not a journal"):
        AppendLog.open(path)


def test_a_file_cut_inside_its_magic_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"DSL")
    assert contents(path) == []


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    log = AppendLog.open(tmp_path / "log")
    log.close()
    log.close()


@given(payloads=st.lists(st.binary(max_size=64), max_size=6), cut=st.integers(0, 600))
def test_any_cut_leaves_a_prefix(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "log"
    write(path, payloads)
    path.write_bytes(path.read_bytes()[: 8 + cut])
    found = contents(path)
    assert found == payloads[: len(found)]


def test_atomic_writing_replaces_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "slot"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["slot"]
