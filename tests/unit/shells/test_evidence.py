"""Evidence against a device: a file for people, no message in a log, and never a full disk."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.events import KeepEvidence
from dreamshare_aggregator import evidence as place
from dreamshare_aggregator.board import Board
from dreamshare_aggregator.control import Control
from dreamshare_aggregator.evidence import keep_evidence
from dreamshare_aggregator.front import Front
from dreamshare_aggregator.store import open_store
from dreamshare_crypto.errors import RefusalCode

TASK = TaskId(b"t" * 16)


def lie(number: int = 0) -> KeepEvidence:
    device = PartyId(b"d" * 16)
    return KeepEvidence(RefusalCode.S2, b"first" * 20, b"second" + bytes([number]), device)


def test_both_messages_are_kept_once_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    path = keep_evidence(folder, TASK, lie())
    assert path is not None
    assert keep_evidence(folder, TASK, lie()) == path
    assert keep_evidence(folder, TASK, lie(1)) != path
    kept = json.loads(path.read_text())
    assert bytes.fromhex(kept["first"]) == b"first" * 20
    assert (kept["rule"], kept["task"]) == ("S2", TASK.hex())
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_device_that_lies_for_ever_fills_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "MOST_FILES", 3)
    for number in range(10):
        keep_evidence(tmp_path, TASK, lie(number))
    assert len(list(tmp_path.iterdir())) == 3


def test_the_log_names_the_file_and_holds_no_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    board = Board(open_store("sqlite://"))
    control = Control.__new__(Control)  # not asked anything here
    with caplog.at_level(logging.WARNING):
        Front(control, board, lambda: None, tmp_path).evidence(TASK, lie())
        Front(control, board, lambda: None, Path("/proc/nothing")).evidence(TASK, lie())
        Front(control, board, lambda: None).evidence(TASK, lie())
    first, refused, second, third = (record.getMessage() for record in caplog.records)
    assert str(tmp_path) in first
    assert "cannot be kept" in refused
    assert "no file" in second
    assert "no file" in third
    assert (b"first" * 4).hex() not in caplog.text
