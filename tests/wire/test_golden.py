"""Bytes of released versions are read for ever, and this version still writes them the same way."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamshare.protocol import messages as m
from dreamshare.wire import link as w
from dreamshare.wire.codec import decode_frame, decode_message
from dreamshare.wire.link import decode_packet
from dreamshare_crypto.envelope import Header
from tests.wire import samples, strategies

GOLDEN = Path(__file__).with_name("golden")


def test_every_sample_has_its_file_and_every_file_its_sample() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(samples.golden())


def test_there_is_a_sample_of_every_kind() -> None:
    kinds = {type(message) for message in samples.MESSAGES.values()}
    assert kinds == set(strategies.MESSAGES)
    assert {type(packet) for packet in samples.PACKETS.values()} == set(strategies.PACKETS)
    asked = {type(s.request) for s in samples.MESSAGES.values() if isinstance(s, m.Request)}
    assert asked == set(m.ControlRequest.__args__)
    told = {type(s.reply) for s in samples.MESSAGES.values() if isinstance(s, m.Reply)}
    assert told == set(m.ControlReply.__args__)


@pytest.mark.parametrize("name", samples.MESSAGES)
def test_a_frame_of_version_1_is_read(name: str) -> None:
    frame = decode_frame((GOLDEN / f"v1-frame-{name}.bin").read_bytes())
    header = Header.decode(frame.header)
    assert (header.birth, header.sequence, header.body_length) == (4, 17, len(frame.body))
    assert strategies.same(decode_message(frame.body), samples.MESSAGES[name])


@pytest.mark.parametrize("name", samples.PACKETS)
def test_a_packet_of_version_1_is_read(name: str) -> None:
    packet: w.Packet = decode_packet((GOLDEN / f"v1-packet-{name}.bin").read_bytes())
    assert packet == samples.PACKETS[name]


@pytest.mark.parametrize("name", samples.golden())
def test_version_1_is_written_as_it_was(name: str) -> None:
    assert samples.golden()[name] == (GOLDEN / name).read_bytes()
