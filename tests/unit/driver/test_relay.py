"""Connections that somebody relays who reads, keeps, changes and invents (protocol.md 17.32)."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from dreamshare.driver.offloading import encode
from dreamshare.driver.peering import Peering
from dreamshare.driver.vouching import check_vouched, vouch
from dreamshare.errors import AbortCode, PeerProtocolError
from dreamshare.ids import EVERYBODY, PartyId, SessionId, TaskId
from dreamshare.protocol.envelope import Address, Signer
from dreamshare.protocol.messages import CheckIn, Message, TaskClosed
from dreamshare.protocol.sealing import GROUP_KEY_STAGE, MOST_GROUPS, Group
from dreamshare.wire.codec import decode_frame, encode_frame, frame_parts
from dreamshare.wire.link import Chunk, Close, Hello, HelloReply, Standing
from dreamshare.wire.transfer import Arrival
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.envelope import Frame, Header
from dreamshare_crypto.identity import Identity
from tests.sim.secagg.federation import Federation
from tests.unit.driver.stage import Stage
from tests.unit.driver.test_aggregator_driver import hello, knock

FEDERATION = Federation(b"relay")
HUB = FEDERATION.issue(Role.AGGREGATOR, "hub")
ONE = FEDERATION.issue(Role.DEVICE, "one")
TWO = FEDERATION.issue(Role.DEVICE, "two")
BINDING = b"b" * 32
TASK = Address(TaskId(b"t" * 16), SessionId(b"s" * 32), 3)
SECRET = "what-only-the-receiver-reads"
TOLD = TaskClosed(SECRET)


def peering(own: Identity, other: Identity, binding: bytes = BINDING) -> Peering:
    made = Peering(own, other.certificate, 5, SeededEntropy(own.id))
    made.carry(binding)
    made.begin(Standing(other.certificate.encode(), 6), 2**18)
    return made


def sent(sender: Peering) -> list[bytes]:
    """Return the frames that a relay sees, whole."""
    frames: dict[int, bytes] = {}
    while (chunk := sender.next_packet()) is not None:
        assert isinstance(chunk, Chunk)
        frames[chunk.transfer] = frames.get(chunk.transfer, b"") + chunk.data
    return list(frames.values())


def opened(receiver: Peering, frame: bytes) -> Message | None:
    one = receiver.open(Arrival(6, 1, (frame,)))
    return None if one is None else one.message


def refused(receiver: Peering, frame: bytes, code: AbortCode, words: str | None = None) -> None:
    with pytest.raises(PeerProtocolError, match=words) as raised:
        opened(receiver, frame)
    assert raised.value.code is code


class TestToOne:
    def test_the_receiver_reads_and_the_relay_does_not(self) -> None:
        hub = peering(HUB, ONE)
        hub.send(TASK, TOLD)
        (frame,) = sent(hub)
        assert SECRET.encode() not in frame
        assert opened(peering(ONE, HUB), frame) == TOLD

    def test_without_a_relay_it_travels_as_it_is(self) -> None:
        hub = peering(HUB, ONE, binding=b"")
        hub.send(TASK, TOLD)
        (frame,) = sent(hub)
        assert SECRET.encode() in frame

    def test_altered_anywhere_it_is_refused(self) -> None:
        hub = peering(HUB, ONE)
        hub.send(TASK, TOLD)
        (frame,) = sent(hub)
        whole = decode_frame(frame)
        changed = [
            replace(whole, body=_flipped(whole.body, at)) for at in range(0, len(whole.body), 7)
        ]
        changed += [replace(whole, header=_flipped(whole.header, at)) for at in range(4, 124, 5)]
        changed += [replace(whole, signature=_flipped(whole.signature, 0))]
        for each in changed:
            with pytest.raises(PeerProtocolError):
                opened(peering(ONE, HUB), encode_frame(each))

    def test_replayed_it_is_refused(self) -> None:
        hub, one = peering(HUB, ONE), peering(ONE, HUB)
        hub.send(TASK, TOLD)
        hub.send(TASK, TOLD)
        first, second = sent(hub)
        opened(one, first)
        opened(one, second)
        for old in (first, second):
            refused(one, old, AbortCode.UNEXPECTED, "came before")

    def test_led_to_another_receiver_it_is_refused(self) -> None:
        hub = peering(HUB, ONE)
        hub.send(TASK, TOLD)
        (frame,) = sent(hub)
        refused(peering(TWO, HUB), frame, AbortCode.UNAUTHENTICATED, "another federation or rec")

    def test_the_body_taken_over_by_another_sender_does_not_open(self) -> None:
        """A device that signs what another device sealed for the aggregator: 14.2."""
        one = peering(ONE, HUB)
        one.send(TASK, CheckIn(("toy",), "one"))
        (frame,) = sent(one)
        stolen = decode_frame(frame)
        header = replace(Header.decode(stolen.header), sender=TWO.id)
        signed = header.encode()
        forged = TWO.signing.sign("sa2/v1/envelope", signed + _sha256(stolen.body))
        taken = encode_frame(Frame(signed, forged, stolen.body))
        refused(peering(HUB, TWO), taken, AbortCode.UNAUTHENTICATED)

    def test_in_clear_it_is_refused(self) -> None:
        plain = peering(HUB, ONE, binding=b"")
        plain.send(TASK, TOLD)
        (frame,) = sent(plain)
        refused(peering(ONE, HUB), frame, AbortCode.UNEXPECTED, "in clear")

    def test_what_was_queued_in_clear_is_not_shown_to_a_relay(self) -> None:
        hub = peering(HUB, ONE, binding=b"")
        hub.send(TASK, TOLD)
        hub.pause()
        assert hub.carry(BINDING)
        hub.forget(9)
        hub.begin(Standing(ONE.certificate.encode(), 6), 2**18)
        assert sent(hub) == []
        assert not hub.carry(BINDING)

    def test_a_frame_sealed_beforehand_is_used_where_nothing_came_between(self) -> None:
        hub, one = peering(HUB, ONE), peering(ONE, HUB)
        ready = encode(TOLD)
        sealed = hub.seal(TASK, ready)
        assert sealed is not None
        hub.send(TASK, ready, sealed)
        hub.send(TASK, ready, sealed)  # out of date: sealed anew
        first, second = sent(hub)
        assert decode_frame(first) == sealed
        assert opened(one, first) == opened(one, second) == TOLD


class TestToAGroup:
    def group(self, number: int = 1) -> Group:
        return Group(HUB, number, 5, SeededEntropy(b"group"))

    def parts(self, group: Group, address: Address = TASK) -> tuple[bytes, bytes]:
        ready = encode(TOLD)
        header = Signer(HUB, EVERYBODY, 5).draft(address, 0)
        return frame_parts(group.frame(header, ready.body))

    def test_sealed_once_it_opens_for_all_who_were_handed_the_key(self) -> None:
        group = self.group()
        parts = self.parts(group)
        for device in (ONE, TWO):
            hub = peering(HUB, device)
            hub.share(TASK, group, parts)
            key, frame = sent(hub)
            assert frame == b"".join(parts)
            assert SECRET.encode() not in frame
            own = peering(device, HUB)
            assert opened(own, key) is None
            assert opened(own, frame) == TOLD

    def test_the_key_travels_once_and_again_to_a_peer_that_missed_something(self) -> None:
        group, hub = self.group(), peering(HUB, ONE)
        hub.share(TASK, group, self.parts(group))
        hub.share(TASK, group, self.parts(group))
        assert len(sent(hub)) == 3
        hub.forget(9)
        hub.begin(Standing(ONE.certificate.encode(), 6), 2**18)
        hub.share(TASK, group, self.parts(group))
        assert len(sent(hub)) == 2

    def test_without_the_key_it_is_refused(self) -> None:
        frame = b"".join(self.parts(self.group()))
        refused(peering(ONE, HUB), frame, AbortCode.UNAUTHENTICATED, "not in")

    def test_replayed_or_turned_around_it_is_refused(self) -> None:
        group, hub, one = self.group(), peering(HUB, ONE), peering(ONE, HUB)
        hub.share(TASK, group, self.parts(group))
        hub.share(TASK, group, self.parts(group))
        key, first, second = sent(hub)
        opened(one, key)
        opened(one, second)
        for old in (first, second):
            refused(one, old, AbortCode.UNEXPECTED, "came before")

    def test_a_key_serves_its_task_and_session_alone(self) -> None:
        group, hub, one = self.group(), peering(HUB, ONE), peering(ONE, HUB)
        hub.share(TASK, group, self.parts(group))
        opened(one, sent(hub)[0])
        for other in (
            Address(TaskId(b"u" * 16), TASK.session, 3),
            Address(TASK.task, SessionId(b"r" * 32), 3),
        ):
            frame = b"".join(self.parts(group, other))
            refused(one, frame, AbortCode.UNAUTHENTICATED, "not in")

    def test_a_member_that_seals_for_the_group_is_not_the_aggregator(self) -> None:
        group = Group(TWO, 1, 5, SeededEntropy(b"group"))  # it has the key, and signs with its own
        header = Signer(TWO, EVERYBODY, 5).draft(TASK, 0)
        frame = encode_frame(group.frame(header, encode(TOLD).body))
        hub, one = peering(HUB, ONE), peering(ONE, HUB)
        honest = self.group()
        hub.share(TASK, honest, self.parts(honest))
        opened(one, sent(hub)[0])
        refused(one, frame, AbortCode.UNAUTHENTICATED)
        refused(peering(HUB, TWO), frame, AbortCode.UNAUTHENTICATED, "no aggregator")

    def test_a_device_hands_out_no_keys(self) -> None:
        group = Group(ONE, 1, 5, SeededEntropy(b"group"))
        one = peering(ONE, HUB)
        header = Signer(ONE, PartyId(HUB.id), 5).draft(TASK, GROUP_KEY_STAGE)
        frame = encode_frame(group.key_frame(HUB.certificate, header))
        refused(peering(HUB, ONE), frame, AbortCode.UNEXPECTED, "group key")
        assert one.relayed

    def test_keys_are_bounded(self) -> None:
        hub, one = peering(HUB, ONE), peering(ONE, HUB)
        shared = [self.group(number) for number in range(1, MOST_GROUPS + 2)]
        for group in shared:
            hub.share(TASK, group, self.parts(group))
        frames = sent(hub)
        for key in frames[::2]:
            opened(one, key)
        refused(one, frames[1], AbortCode.UNAUTHENTICATED, "not in")
        assert opened(one, frames[-1]) == TOLD


class TestGreetings:
    standing = Standing(ONE.certificate.encode(), 7)

    def test_said_over_one_connection_it_holds_there_alone(self) -> None:
        said = vouch(ONE, Hello(self.standing), BINDING)
        check_vouched(ONE.certificate, said, BINDING)
        with pytest.raises(PeerProtocolError):
            check_vouched(ONE.certificate, said, b"c" * 32)

    @pytest.mark.parametrize(
        "change",
        [
            {"birth": 8},
            {"first": 2},
            {"packet_limit": 4096},
            {"window": 1},
            {"certificate": TWO.certificate.encode()},
        ],
    )
    def test_altered_it_is_refused(self, change: dict[str, object]) -> None:
        said = vouch(ONE, Hello(self.standing), BINDING)
        altered = replace(said, standing=replace(self.standing, **change))  # type: ignore[arg-type]
        with pytest.raises(PeerProtocolError) as raised:
            check_vouched(ONE.certificate, altered, BINDING)
        assert raised.value.code is AbortCode.UNAUTHENTICATED

    def test_an_answer_is_no_opening(self) -> None:
        said = vouch(ONE, Hello(self.standing, 1, 1), BINDING)
        turned = HelloReply(self.standing, 1, said.proof)
        with pytest.raises(PeerProtocolError):
            check_vouched(ONE.certificate, turned, BINDING)

    def test_without_a_relay_nothing_is_added(self) -> None:
        plain = Hello(self.standing)
        assert vouch(ONE, plain, b"") == plain
        check_vouched(ONE.certificate, plain, b"")

    def test_the_aggregator_sends_a_stranger_with_a_devices_certificate_away(self) -> None:
        """A relay knows every certificate; without the key it cannot greet."""
        stage = Stage(relayed=True)
        device = stage.handsets[0].identity

        async def play() -> None:
            async with stage.open():
                (close,) = await knock(stage, hello(device), name=device.id.hex())
                assert isinstance(close, Close)
                assert "without its signature" in close.text
                assert stage.aggregator.devices() == ()

        stage.play(play())


@pytest.mark.parametrize("relayed", [False, True])
def test_a_task_over_a_relay_that_keeps_everything(relayed: bool) -> None:
    """The same task, and whether its plans, labels and masked vectors can be read on the way."""
    kept: list[bytes] = []

    def keep(_name: str, packet: bytes) -> float:
        kept.append(packet)
        return 0.0

    stage = Stage(up=keep, down=keep, relayed=relayed)

    async def play() -> None:
        async with stage.open():
            await stage.run_task()

    stage.play(play())
    assert len(stage.sums) == 3
    bodies = [body for _, _, body in stage.seen if len(body) >= 48]
    assert bodies
    traffic = b"".join(kept)
    readable = [body for body in bodies if body[:48] in traffic]
    assert (readable == []) == relayed


def test_a_relay_that_cuts_and_gives_back_loses_nothing() -> None:
    stage = Stage(relayed=True)

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            run = stage.begin()
            await stage.follow(run, until=1)
            for handset in stage.handsets:
                stage.network.cut(handset.id.hex())
            await stage.follow(run)

    stage.play(play())
    assert len(stage.sums) == 3


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
