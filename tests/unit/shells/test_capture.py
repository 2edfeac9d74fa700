"""The capture file: what went in comes out, and a torn end is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamshare.clock import ManualClock
from dreamshare.errors import ConfigError
from dreamshare_aggregator.capture import Capture, Captured, read_capture

A = bytes([1]) * 16


def test_packets_come_back_with_peer_and_time(tmp_path: Path) -> None:
    clock = ManualClock(1000.25)
    capture = Capture(tmp_path / "c", clock)
    capture.received(A.hex(), b"first")
    capture.sent(A.hex(), b"an answer")
    clock.advance_to(1000.5)
    capture.received("", b"second")
    capture.close()
    capture.close()
    assert list(read_capture(tmp_path / "c")) == [
        Captured(1000.25, A, b"first"),
        Captured(1000.5, bytes(16), b"second"),
    ]
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o600


def test_a_torn_end_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "c"
    capture = Capture(path, ManualClock())
    capture.received(A.hex(), b"first")
    capture.received(A.hex(), b"second")
    capture.close()
    path.write_bytes(path.read_bytes()[:-3])
    assert [c.packet for c in read_capture(path)] == [b"first"]


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("precious")
    with pytest.raises(ConfigError, match="name a new file"):
        Capture(tmp_path / "c", ManualClock())
    with pytest.raises(ConfigError, match="cannot write"):
        Capture(tmp_path / "none" / "c", ManualClock())
    with pytest.raises(ConfigError, match="not a capture"):
        list(read_capture(tmp_path / "c"))
