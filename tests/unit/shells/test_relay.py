"""The relay and its queue against parties that lie, repeat and flood; a relay that lies itself."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from dreamshare.clock import ManualClock
from dreamshare.driver.enrolling import ask, knock
from dreamshare.errors import ConfigError, Rejected, Unreachable
from dreamshare.transport.exchange import Answering, Exchange
from dreamshare.wire.enrol import (
    Answer,
    Ask,
    Decision,
    Down,
    Knock,
    Refusal,
    RefusalReason,
    Waiting,
    Welcome,
    decode_down,
    encode_down,
    encode_up,
)
from dreamshare.wire.limits import ENROL_UP_LIMIT
from dreamshare_aggregator.enrolment.queue import QueueBounds, QueueFull, RequestQueue
from dreamshare_aggregator.enrolment.relay import RETRY_AFTER_S, RETRY_FAR_S, Greeting, Relay
from dreamshare_cli.development import Development
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.enrolment import (
    EnrolRequest,
    InvitationTerms,
    Token,
    accept,
    approve,
    request,
)
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_edge.certifying import Applicant

NOW = 1_800_000_000.0


class Site:
    """A federation with a relay; the authority is within reach, or not."""

    def __init__(
        self, path: Path, seed: bytes = b"site", bounds: QueueBounds | None = None
    ) -> None:
        self.entropy = SeededEntropy(seed)
        self.clock = ManualClock(NOW)
        self.folder = FederationFolder(path / "federation")
        self.folder.create("grpcs://127.0.0.1:7443", self.entropy, NOW)
        self.queue = RequestQueue(path / "queue", bounds)
        authority = self.folder.load_authority()
        self.root = authority.tls_roots
        greeting = Greeting(authority.federation, self.root, ("grpcs://hub.example:7443",))
        office = Development(self.folder.folder, self.clock, self.entropy)
        self.near = Relay(greeting, self.queue, self.clock, office)
        self.far = Relay(greeting, self.queue, self.clock)

    def token(self, terms: InvitationTerms | None = None) -> Token:
        with self.folder.locked() as authority:
            ends = ["grpcs://127.0.0.1:7444"]
            made = authority.invite(Role.DEVICE, "phone", ends, self.entropy, NOW, terms)
            authority.save(self.folder.authority)
        return made

    def message(self, terms: InvitationTerms | None = None) -> bytes:
        return request(self.token(terms), self.entropy).message


async def said(relay: Relay, message: bytes, source: str = "ipv4:1.2.3.4") -> Down:
    return decode_down(await relay.answer(encode_up(Ask(message)), source))


async def test_devices_are_spread_over_shards(site: Site) -> None:
    """Each is told another one first, and the aggregator's own address last."""
    shards = tuple(f"grpcs://hub.example:745{number}" for number in range(1, 6))
    greeting = Greeting(bytes(16), site.root, ("grpcs://hub.example:7443",), shards)
    relay = Relay(greeting, site.queue, site.clock)
    told = []
    for _ in range(6):
        welcome = decode_down(await relay.answer(encode_up(Knock()), "ipv4:1.2.3.4"))
        assert isinstance(welcome, Welcome)
        told.append([link[-1] for link in welcome.links])
    assert ["".join(ends) for ends in told] == ["1233", "2343", "3453", "4513", "5123", "1233"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_who_knocks_is_told_root_and_links(site: Site) -> None:
    told = decode_down(await site.near.answer(encode_up(Knock()), "anywhere"))
    assert told == Welcome(site.root, ("grpcs://hub.example:7443",))


async def test_a_used_token(site: Site) -> None:
    """And its first request, sent again, gets the byte-identical answer."""
    token = site.token()
    first = request(token, site.entropy)
    answer = await said(site.near, first.message)
    assert isinstance(answer, Answer)
    assert accept(first, answer.reply, NOW).federation == token.federation
    again = await said(site.near, request(token, site.entropy).message)
    assert isinstance(again, Refusal)
    assert "used already" in again.text
    assert await said(site.near, first.message) == answer


async def test_what_a_person_approves_waits(site: Site) -> None:
    message = site.message(InvitationTerms(by_hand=True))
    assert await said(site.near, message) == Waiting(RETRY_AFTER_S)
    assert [one.encode() for one in site.queue.waiting()] == [message]


async def test_an_expired_token(site: Site) -> None:
    message = site.message()
    site.clock.advance_to(NOW + 2 * 86_400)
    answer = await said(site.near, message)
    assert isinstance(answer, Refusal)
    assert "expired" in answer.text


async def test_another_federation(site: Site, tmp_path: Path) -> None:
    stranger = Site(tmp_path / "other", b"other")
    for relay in (site.near, site.far):
        answer = await said(relay, stranger.message())
        assert answer == Refusal(RefusalReason.REFUSED, "the request is for another federation")
    assert list(site.queue.waiting()) == []


async def test_a_request_without_its_key_is_not_kept(site: Site) -> None:
    sent = EnrolRequest.decode(site.message())
    forged = dataclasses.replace(sent, signature=bytes(64)).encode()
    for message in (forged, b"garbage", site.message() + b"\0"):
        answer = await said(site.far, message)
        assert isinstance(answer, Refusal)
        assert answer.reason is RefusalReason.MALFORMED
    assert list(site.queue.waiting()) == []


async def test_a_folder_that_is_gone_is_told_and_not_raised(site: Site) -> None:
    shutil.rmtree(site.queue.revocations.parent)
    answer = await said(site.far, site.message())
    assert isinstance(answer, Refusal)
    assert answer.reason is RefusalReason.BUSY


async def test_a_csr_swapped_by_the_relay_is_refused_by_the_authority(site: Site) -> None:
    sent = EnrolRequest.decode(site.message())
    other = EnrolRequest.decode(site.message())
    swapped = dataclasses.replace(sent, tls_csr=other.tls_csr).encode()
    assert isinstance(await said(site.near, swapped), Refusal)
    answer = await said(site.near, sent.encode())
    assert isinstance(answer, Answer)


async def test_oversize_messages_are_refused_unread(site: Site) -> None:
    told = decode_down(await site.far.answer(bytes(ENROL_UP_LIMIT + 1), "anywhere"))
    assert isinstance(told, Refusal)
    assert told.reason is RefusalReason.MALFORMED


async def test_a_flood_fills_a_bounded_queue_and_throws_nobody_out(tmp_path: Path) -> None:
    site = Site(tmp_path, bounds=QueueBounds(requests=6, from_one_address=3, life_s=1e12))
    honest = site.message()
    assert await said(site.far, honest, "ipv4:9.9.9.9") == Waiting(RETRY_FAR_S)
    terms = InvitationTerms(uses=100)
    for source in ("ipv4:1.1.1.1", "ipv4:2.2.2.2"):
        flood = [await said(site.far, site.message(terms), source) for _ in range(5)]
        assert sum(isinstance(one, Waiting) for one in flood) <= 3
        assert {one.reason for one in flood if isinstance(one, Refusal)} == {RefusalReason.BUSY}
    kept = [one.encode() for one in site.queue.waiting()]
    assert len(kept) == 6
    assert honest in kept
    assert await said(site.far, honest, "ipv4:9.9.9.9") == Waiting(RETRY_FAR_S)
    site.queue.decide(bytes(16), Decision(EnrolRequest.decode(honest).hash(), b"the reply"))
    assert await said(site.far, honest, "ipv4:9.9.9.9") == Answer(b"the reply")


def test_what_waited_too_long_makes_room(tmp_path: Path) -> None:
    site = Site(tmp_path, bounds=QueueBounds(requests=1, life_s=100.0))
    first, second = (EnrolRequest.decode(site.message()) for _ in range(2))
    site.queue.put(first, "a", 0.0)
    with pytest.raises(QueueFull):
        site.queue.put(second, "b", 0.0)
    far = 2.0**40  # files carry the machine's own time
    assert site.queue.put(second, "b", far) is None
    assert [one.hash() for one in site.queue.waiting()] == [second.hash()]


def test_a_damaged_decision_is_named(site: Site) -> None:
    asked = EnrolRequest.decode(site.message())
    site.queue.decide(bytes(16), Decision(asked.hash(), b"reply"))
    (path,) = (site.queue.revocations.parent / "decisions").iterdir()
    path.write_bytes(b"?")
    with pytest.raises(ConfigError, match="cannot be read"):
        site.queue.put(asked, "a", 0.0)


async def test_nothing_of_a_token_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = site.token()
    pending = request(token, site.entropy)
    await said(site.near, pending.message)
    await said(site.near, request(token, site.entropy).message)
    secrets = (token.secret.reveal(), token.token_key.reveal(), pending.message[-96:-64])
    assert not any(secret.hex() in caplog.text or repr(secret) in caplog.text for secret in secrets)
    assert token.text() not in caplog.text


# ---- the relay itself lies ---------------------------------------------------------------------


class Way:
    """A door and an exchange in one: what is asked goes to `answering`."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.asked: list[bytes] = []

    async def unproven(self) -> Exchange:
        return self

    def proven(self, roots_pem: bytes) -> Exchange:
        return self

    async def ask(self, message: bytes) -> bytes:
        self.asked.append(message)
        return await self._answering(message, "here")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def __str__(self) -> str:
        return "a relay"


def answering(*answers: Down | Exception) -> Way:
    """Return a way that gives these answers one after the other."""
    left = list(answers)

    async def answer(_message: bytes, _source: str) -> bytes:
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return encode_down(one)

    return Way(answer)


def never(_words: str) -> None:
    raise AssertionError


async def test_the_relay_forges_a_reply(site: Site, tmp_path: Path) -> None:
    """With an authority of its own, although it knows the request: it lacks the token's key."""
    rogue = Site(tmp_path / "rogue", b"rogue")
    applicant = Applicant(tmp_path / "device.key", site.clock, site.entropy)
    pending = applicant.with_token(site.token())
    fake = rogue.folder.load_authority()
    fake.federation = EnrolRequest.decode(pending.message).federation
    asked = EnrolRequest.decode(pending.message)
    copied = dataclasses.replace(asked, token_id=bytes(16), mac=bytes(32))
    fake.certify(Role.DEVICE, "phone", asked.ik, asked.kem, NOW)
    forged = approve(fake, copied.seal(None, pending.signing).encode(), NOW, rogue.entropy)
    with pytest.raises(Rejected, match="does not hold"):
        await applicant.certified(pending, [answering(Answer(forged))], site.root, never)
    assert applicant.pending_path.exists(), "the true answer may still come"


async def test_the_relay_downgrades_the_root(site: Site, tmp_path: Path) -> None:
    rogue = Site(tmp_path / "rogue", b"rogue")
    way = answering(Welcome(rogue.root, ()))
    with pytest.raises(Rejected, match="Nothing was sent"):
        await knock([way], site.token().tls_hash)
    assert way.asked == [encode_up(Knock())]


@pytest.mark.parametrize("answer", [Waiting(1), Answer(b"x"), Welcome(b"no certificate", ())])
async def test_the_relay_answers_a_knock_with_something_else(site: Site, answer: Down) -> None:
    with pytest.raises(Rejected):
        await knock([answering(answer)], site.token().tls_hash)


async def test_the_next_door_is_tried(site: Site) -> None:
    good = answering(Welcome(site.root, ()))
    found = await knock([answering(Unreachable("gone")), good], site.token().tls_hash)
    assert found.door is good
    with pytest.raises(Unreachable):
        await knock([answering(Unreachable("gone"))], site.token().tls_hash)


async def test_asking_waits_as_long_as_it_takes(site: Site) -> None:
    told: list[str] = []
    steps = (Unreachable("gone"), Waiting(2), Waiting(2**31), Refusal(RefusalReason.BUSY, "full"))
    way = answering(*steps, Answer(b"the reply"))
    waiting = asyncio.ensure_future(
        ask([way], site.root, b"request", site.clock, random.Random(1), told.append)
    )
    for _ in steps:
        for _ in range(20):  # steps of the event loop, until it sleeps
            await asyncio.sleep(0)
        assert site.clock.next_wake is not None
        assert site.clock.next_wake <= site.clock.now() + 60
        site.clock.advance_to(site.clock.next_wake)
        await asyncio.sleep(0)
    assert await waiting == b"the reply"
    assert way.asked == [encode_up(Ask(b"request"))] * 5
    assert told == ["gone", "the request waits for approval", "a relay is busy: full"]


@pytest.mark.parametrize("answer", [Refusal(RefusalReason.REFUSED, "no"), Welcome(b"x", ())])
async def test_a_refusal_ends_it(site: Site, answer: Down) -> None:
    with pytest.raises(Rejected):
        await ask([answering(answer)], site.root, b"r", site.clock, random.Random(1), never)


def test_an_expired_token_is_not_sent(site: Site, tmp_path: Path) -> None:
    token = site.token(InvitationTerms(life_s=60))
    site.clock.advance_to(NOW + 61)
    applicant = Applicant(tmp_path / "device.key", site.clock, site.entropy)
    with pytest.raises(ConfigError, match="expired"):
        applicant.with_token(token)
    assert not applicant.pending_path.exists()


def test_another_token_makes_other_keys(site: Site, tmp_path: Path) -> None:
    applicant = Applicant(tmp_path / "device.key", site.clock, site.entropy)
    first = applicant.with_token(site.token())
    assert applicant.with_token(site.token()).message != first.message
