"""Frames in pieces: what one Outbox sends, one Inbox hands out exactly once and in order."""

from __future__ import annotations

import pytest

from dreamshare.errors import AbortCode, FrameTooLarge, LocalProtocolError, PeerProtocolError
from dreamshare.wire.limits import CHUNK_OVERHEAD, PACKET_LEAST, PACKET_MOST
from dreamshare.wire.link import Ack, Chunk, Received, Standing, encode_packet
from dreamshare.wire.transfer import Arrival, Inbox, Outbox

PIECE = PACKET_LEAST - CHUNK_OVERHEAD  # data of a full chunk at the smallest packet
NOWHERE = Received()


def standing(
    received: Received = NOWHERE, *, birth: int = 1, first: int = 1, window: int = 1 << 20
) -> Standing:
    return Standing(bytes(218), birth, first, received, packet_limit=PACKET_LEAST, window=window)


def connect(outbox: Outbox, inbox: Inbox, window: int = 1 << 20) -> tuple[int, ...]:
    """Both ends exchange greetings."""
    inbox.connected(standing(birth=outbox.birth, first=outbox.first))
    return outbox.connected(standing(inbox.received, window=window), PACKET_LEAST)


def chunks(outbox: Outbox) -> list[Chunk]:
    found = []
    while (chunk := outbox.next_chunk()) is not None:
        found.append(chunk)
    return found


def deliver(inbox: Inbox, sent: list[Chunk]) -> list[bytes]:
    taken = [inbox.take(chunk) for chunk in sent]
    return [each.frame for each in taken if isinstance(each, Arrival)]


def test_a_small_frame_is_one_chunk_and_a_large_one_is_cut() -> None:
    outbox, inbox = Outbox(7), Inbox()
    connect(outbox, inbox)
    assert [outbox.put(b"x"), outbox.put(b"y" * (PIECE + 1))] == [1, 2]
    sent = chunks(outbox)
    assert [(c.birth, c.transfer, c.offset, c.total, len(c.data)) for c in sent] == [
        (7, 1, 0, 1, 1),
        (7, 2, 0, PIECE + 1, PIECE),
        (7, 2, PIECE, PIECE + 1, 1),
    ]
    assert deliver(inbox, sent) == [b"x", b"y" * (PIECE + 1)]


def test_a_full_chunk_fits_the_packet_whatever_its_numbers() -> None:
    most = 2**64 - 1
    data = bytes(PACKET_MOST - CHUNK_OVERHEAD)
    packet = encode_packet(Chunk(most, most, 2**27 - len(data), 2**27, data))
    assert len(packet) <= PACKET_MOST


def test_nothing_leaves_before_the_greeting_nor_after_the_connection_is_gone() -> None:
    outbox = Outbox(1)
    outbox.put(b"x")
    assert outbox.next_chunk() is None
    connect(outbox, Inbox())
    outbox.disconnected()
    assert outbox.next_chunk() is None


def test_a_reconnect_goes_on_at_the_byte_that_is_missing() -> None:
    outbox, inbox = Outbox(1), Inbox()
    connect(outbox, inbox)
    frame = bytes(range(256)) * 64
    outbox.put(frame)
    first = outbox.next_chunk()
    assert first is not None
    inbox.take(first)
    outbox.next_chunk()  # lost with the connection
    outbox.disconnected()
    connect(outbox, inbox)
    rest = chunks(outbox)
    assert rest[0].offset == PIECE
    assert deliver(inbox, rest) == [frame]


def test_acknowledged_frames_are_forgotten_and_others_kept() -> None:
    outbox, inbox = Outbox(1), Inbox()
    connect(outbox, inbox)
    for frame in (b"a", b"bb", b"ccc"):
        outbox.put(frame)
    deliver(inbox, chunks(outbox))
    second = inbox.acknowledge(1, 2)
    assert second == Ack(Received(1, 0, 4, 0))  # 1 is not durable yet
    assert second is not None
    assert outbox.acknowledged(second) == ()
    both = inbox.acknowledge(1, 1)
    assert both == Ack(Received(1, 2, 4, 0))
    assert both is not None
    assert outbox.acknowledged(both) == (1, 2)
    assert (outbox.first, outbox.backlog) == (3, 3)


def test_a_lost_acknowledgement_comes_with_the_next_greeting() -> None:
    outbox, inbox = Outbox(1), Inbox()
    connect(outbox, inbox)
    outbox.put(b"a")
    deliver(inbox, chunks(outbox))
    inbox.acknowledge(1, 1)
    outbox.disconnected()
    assert connect(outbox, inbox) == (1,)
    assert chunks(outbox) == []


def test_a_receiver_that_restarted_gets_what_it_had_not_acknowledged() -> None:
    outbox, inbox = Outbox(1), Inbox()
    connect(outbox, inbox)
    for frame in (b"a", b"b"):
        outbox.put(frame)
    deliver(inbox, chunks(outbox))
    ack = inbox.acknowledge(1, 1)
    assert ack is not None
    outbox.acknowledged(ack)
    reborn = Inbox()
    connect(outbox, reborn)
    assert deliver(reborn, chunks(outbox)) == [b"b"]


def test_a_sender_that_restarted_begins_anew() -> None:
    inbox = Inbox()
    old = Outbox(1)
    connect(old, inbox)
    old.put(b"a" * (PIECE + 1))
    stray = old.next_chunk()
    assert stray is not None
    inbox.take(stray)
    new = Outbox(2)
    connect(new, inbox)
    new.put(b"b")
    assert inbox.take(stray) is None
    assert deliver(inbox, chunks(new)) == [b"b"]
    assert inbox.acknowledge(1, 1) is None
    assert inbox.acknowledge(2, 1) == Ack(Received(2, 1, 2, 0))


def test_frames_that_an_earlier_life_of_the_receiver_settled_are_not_waited_for() -> None:
    inbox = Inbox()
    inbox.connected(standing())
    for number in (1, 2):
        inbox.take(Chunk(1, number, 0, 1, b"x"))
    inbox.take(Chunk(1, 3, 0, 2, b"x"))
    inbox.acknowledge(1, 2)  # durable out of order
    inbox.connected(standing(first=2))  # 1 is settled for the peer, 2 follows from here
    assert inbox.received == Received(1, 2, 3, 1)
    assert inbox.acknowledge(1, 1) == Ack(Received(1, 2, 3, 1))  # late, and harmless
    inbox.connected(standing(first=5))
    assert inbox.received == Received(1, 4, 5, 0)
    assert inbox.take(Chunk(1, 5, 0, 1, b"y")) == Arrival(1, 5, (b"y",))


def test_a_gap_is_told_once_and_mended() -> None:
    outbox, inbox = Outbox(1), Inbox()
    connect(outbox, inbox)
    outbox.put(bytes(3 * PIECE))
    sent = chunks(outbox)
    inbox.take(sent[0])
    told = inbox.take(sent[2])
    assert told == Ack(Received(1, 0, 1, PIECE), resend=True)
    assert inbox.take(sent[2]) is None
    assert isinstance(told, Ack)
    outbox.acknowledged(told)
    again = chunks(outbox)
    assert again == sent[1:]
    assert deliver(inbox, again) == [bytes(3 * PIECE)]


def test_a_second_gap_is_told_again() -> None:
    outbox, inbox = Outbox(1), Inbox()
    connect(outbox, inbox)
    outbox.put(bytes(5 * PIECE))
    sent = chunks(outbox)
    assert inbox.take(sent[1]) == Ack(Received(1, 0, 1, 0), resend=True)
    inbox.take(sent[0])
    assert inbox.take(sent[4]) == Ack(Received(1, 0, 1, PIECE), resend=True)


def test_chunks_that_overlap_are_joined() -> None:
    inbox = Inbox()
    inbox.connected(standing())
    inbox.take(Chunk(1, 1, 0, 4, b"ab"))
    assert inbox.take(Chunk(1, 1, 1, 4, b"bcd")) == Arrival(1, 1, (b"abcd",))


def test_a_repeat_of_what_is_complete_is_answered_with_the_position() -> None:
    outbox, inbox = Outbox(1), Inbox()
    connect(outbox, inbox)
    outbox.put(b"a")
    (chunk,) = chunks(outbox)
    inbox.take(chunk)
    assert inbox.take(chunk) == Ack(Received(1, 0, 2, 0))


def test_the_window_holds_back_the_next_frame_but_never_the_first() -> None:
    outbox, inbox = Outbox(1), Inbox(window=10)
    connect(outbox, inbox, window=10)
    outbox.put(bytes(20))
    outbox.put(bytes(1))
    assert [c.transfer for c in chunks(outbox)] == [1]
    deliver(inbox, [Chunk(1, 1, 0, 20, bytes(20))])
    ack = inbox.acknowledge(1, 1)
    assert ack is not None
    outbox.acknowledged(ack)
    assert [c.transfer for c in chunks(outbox)] == [2]


def test_a_packet_limit_that_shrinks_between_connections_does_no_harm() -> None:
    outbox, inbox = Outbox(1), Inbox()
    frame = bytes(range(250)) * 200
    outbox.put(frame)
    inbox.connected(standing())
    wide = Standing(bytes(218), 1, packet_limit=4 * PACKET_LEAST)
    outbox.connected(wide, 4 * PACKET_LEAST)
    first = outbox.next_chunk()
    assert first is not None
    inbox.take(first)
    connect(outbox, inbox)
    assert deliver(inbox, chunks(outbox)) == [frame]


# ---- what a peer may not do ----------------------------------------------------------------------


@pytest.mark.parametrize("received", [Received(1, 1, 2, 0), Received(1, 0, 1, 2)])
def test_a_peer_cannot_have_what_was_never_sent(received: Received) -> None:
    outbox = Outbox(1)
    connect(outbox, Inbox())
    outbox.put(b"ab")
    with pytest.raises(PeerProtocolError, match="was not sent yet"):
        outbox.acknowledged(Ack(received))
    with pytest.raises(PeerProtocolError, match="was not sent yet"):
        outbox.connected(standing(received), PACKET_LEAST)
    assert outbox.first == 1


def test_a_frame_over_the_limit_or_past_the_window_is_refused() -> None:
    inbox = Inbox(frame_limit=100, window=50)
    inbox.connected(standing())
    with pytest.raises(PeerProtocolError) as large:
        inbox.take(Chunk(1, 1, 0, 101, b"x"))
    assert large.value.code is AbortCode.TOO_LARGE
    assert isinstance(inbox.take(Chunk(1, 1, 0, 30, bytes(30))), Arrival)
    with pytest.raises(PeerProtocolError) as past:
        inbox.take(Chunk(1, 2, 0, 21, b"x"))
    assert past.value.code is AbortCode.TOO_LARGE
    inbox.acknowledge(1, 1)
    assert inbox.take(Chunk(1, 2, 0, 21, b"x")) is None


def test_a_frame_of_two_lengths_is_refused() -> None:
    inbox = Inbox()
    inbox.connected(standing())
    inbox.take(Chunk(1, 1, 0, 5, b"x"))
    with pytest.raises(PeerProtocolError, match="of 5 bytes, then 6"):
        inbox.take(Chunk(1, 1, 1, 6, b"x"))


def test_an_acknowledgement_about_an_earlier_life_changes_nothing() -> None:
    outbox = Outbox(2)
    connect(outbox, Inbox())
    outbox.put(b"a")
    chunks(outbox)
    assert outbox.acknowledged(Ack(Received(1, 9, 10, 0))) == ()
    assert outbox.first == 1


# ---- what this side may not do -------------------------------------------------------------------


def test_frames_that_no_peer_takes_are_refused_when_put() -> None:
    outbox = Outbox(1)
    with pytest.raises(FrameTooLarge):
        outbox.put(b"")
    outbox.put(bytes(11))
    small = Standing(bytes(218), 1, frame_limit=10)
    with pytest.raises(FrameTooLarge, match="of 11 bytes; the peer takes 10"):
        outbox.connected(small, PACKET_LEAST)


def test_an_acknowledgement_needs_an_arrival() -> None:
    inbox = Inbox()
    inbox.connected(standing())
    with pytest.raises(LocalProtocolError):
        inbox.acknowledge(1, 1)
    with pytest.raises(LocalProtocolError):
        Outbox(0)


def test_a_frame_half_here_is_let_go() -> None:
    """A peer that is gone for good keeps no memory here; one that comes back sends it all again."""
    outbox, inbox = Outbox(7), Inbox()
    connect(outbox, inbox)
    frame = b"x" * (PIECE + 1)
    outbox.put(frame)
    assert deliver(inbox, chunks(outbox)[:1]) == []
    assert inbox.received.offset == PIECE
    inbox.let_go()
    assert inbox.received.offset == 0
    outbox.disconnected()
    connect(outbox, inbox)
    assert deliver(inbox, chunks(outbox)) == [frame]


def test_a_frame_in_pieces_is_cut_like_one_in_one() -> None:
    frame = bytes(range(256)) * 40
    parts = (frame[:7], frame[7:7], frame[7 : PIECE + 1], frame[PIECE + 1 :])
    whole, pieces = Outbox(1), Outbox(1)
    for outbox, given in ((whole, (frame,)), (pieces, parts)):
        connect(outbox, Inbox())
        outbox.put(*given)
    assert whole.backlog == pieces.backlog == len(frame)
    assert chunks(whole) == chunks(pieces)


def test_tiny_chunks_are_kept_in_few_pieces() -> None:
    """A peer that sends bytes one by one must not fill the memory with objects."""
    inbox = Inbox()
    inbox.connected(standing())
    frame = bytes(range(250)) * 4
    for at in range(len(frame) - 1):
        assert inbox.take(Chunk(1, 1, at, len(frame), frame[at : at + 1])) is None
    last = inbox.take(Chunk(1, 1, len(frame) - 1, len(frame), frame[-1:]))
    assert isinstance(last, Arrival)
    assert last.pieces == (frame,)
    assert (last.size, last.place) == (len(frame), (1, 1))
