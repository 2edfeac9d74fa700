"""The messages of sections 6 and 7 as bytes: fields in the order of the tables, then Sig.

Every function takes the signer's Ed25519 secret last and returns the whole message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.reference.certificates import sign
from tests.reference.finder import Claims
from tests.reference.lanes import Params
from tests.reference.values import H, bitmap, listed, u8, u16, u32, u64, var


@dataclass(frozen=True, slots=True)
class Template:
    """One entry of the offer's template: which step, and its params with round_nonce zero."""

    algorithm: str
    step: str
    params: Params

    def encoded(self) -> bytes:
        out = var(self.algorithm.encode()) + var(self.step.encode())
        return out + var(self.params.encoded())


@dataclass(frozen=True, slots=True)
class Offer:
    """Message 1 of section 6, without the parts that are its issuer's."""

    suite: int
    profile: int
    mode: int
    federation: bytes
    task: bytes
    epoch: int
    R: int
    not_before: int
    life_s: int
    claims: Claims
    n_max: int
    templates: tuple[Template, ...]
    deadlines: tuple[int, int, int]

    def encoded(
        self, authority_key_id: bytes, certificate: bytes, revocations: bytes, secret: bytes
    ) -> bytes:
        c = self.claims
        body = u16(1) + u16(1) + u8(self.suite) + u8(self.profile) + u8(self.mode)
        body += self.federation + self.task + u64(self.epoch) + authority_key_id + certificate
        body += u32(self.R) + u64(self.not_before) + u32(self.life_s)
        body += u32(c.gamma_ppm) + u32(c.delta_ppm) + u16(c.sigma) + u16(c.eta)
        body += u32(c.A_min_ppm) + u32(c.d_ppm) + u32(c.least_cohort) + u32(self.n_max)
        body += var(listed([template.encoded() for template in self.templates]))
        body += b"".join(u32(seconds) for seconds in self.deadlines) + var(revocations)
        return body + sign(secret, "sa2/v1/offer", body)


def pks_hash(pks: Sequence[bytes]) -> bytes:
    return H("sa2/v1/pks", b"".join(pks))


def coms_hash(coms: Sequence[bytes]) -> bytes:
    return H("sa2/v1/coms", b"".join(coms))


def advertise(
    ho: bytes,
    certificate: bytes,
    box_pk: bytes,
    pks: Sequence[bytes],
    coms: Sequence[bytes],
    nonce_com: bytes,
    secret: bytes,
) -> tuple[bytes, bytes]:
    """The message, and the entry of 410 bytes that stands for it in a roster."""
    hashes = pks_hash(pks) + coms_hash(coms)
    signature = sign(secret, "sa2/v1/advertise", ho + certificate + box_pk + hashes + nonce_com)
    front = certificate + box_pk
    lists = b"".join(pks) + b"".join(coms)
    return (
        ho + front + lists + nonce_com + signature,
        front + hashes + nonce_com + signature,
    )


def entry_id(entry: bytes) -> bytes:
    """The device id inside the entry's certificate."""
    return entry[18:34]


def roster(ho: bytes, entries: Sequence[bytes], secret: bytes) -> bytes:
    body = ho + listed(sorted(entries, key=entry_id))
    return body + sign(secret, "sa2/v1/roster", body)


def reveal(ho: bytes, rd: bytes, nonce: bytes, secret: bytes) -> bytes:
    body = ho + rd + nonce
    return body + sign(secret, "sa2/v1/reveal", body)


def seed(rd: bytes, reveals: Sequence[tuple[int, bytes, bytes]], secret: bytes) -> bytes:
    """reveals: roster index, nonce, the seeder's own signature; in seeder order."""
    items = [u32(index) + nonce + signature for index, nonce, signature in reveals]
    body = rd + listed(items)
    return body + sign(secret, "sa2/v1/seed", body)


def peer_keys(rd: bytes, lists: Sequence[Sequence[bytes]]) -> bytes:
    """The neighbours' round keys in index order; not signed: each list hashes to the roster."""
    return rd + b"".join(b"".join(pks) for pks in lists)


def _boxes(label: str, sid: bytes, boxes: Mapping[int, bytes], secret: bytes) -> bytes:
    body = sid + listed([u32(index) + boxes[index] for index in sorted(boxes)])
    return body + sign(secret, label, H(label, body))


def shares(sid: bytes, boxes: Mapping[int, bytes], secret: bytes) -> bytes:
    """Boxes by receiver."""
    return _boxes("sa2/v1/shares", sid, boxes, secret)


def deliver(sid: bytes, boxes: Mapping[int, bytes], secret: bytes) -> bytes:
    """Boxes by dealer."""
    return _boxes("sa2/v1/deliver", sid, boxes, secret)


def ready(sid: bytes, good: bytes, secret: bytes) -> bytes:
    return sid + good + sign(secret, "sa2/v1/ready", sid + good)


def round_start(
    sid: bytes,
    r: int,
    A_r: bytes,
    Hb: bytes,
    params: bytes,
    deadline: int,
    secret: bytes,
) -> bytes:
    body = sid + u32(r) + A_r + Hb + var(params) + u64(deadline)
    return body + sign(secret, "sa2/v1/round-start", body)


def masked_input(sid: bytes, r: int, rctx: bytes, y: bytes, secret: bytes) -> bytes:
    front = sid + u32(r) + rctx
    signature = sign(secret, "sa2/v1/masked-input", front + H("sa2/v1/y", y))
    return front + var(y) + signature


def survivors(sid: bytes, r: int, rctx: bytes, U_r: bytes, secret: bytes) -> bytes:
    body = sid + u32(r) + rctx + U_r
    return body + sign(secret, "sa2/v1/survivors", body)


def agree(sid: bytes, r: int, rctx: bytes, U_r: bytes, secret: bytes) -> bytes:
    """The bitmap and rctx are signed, not sent."""
    return sid + u32(r) + sign(secret, "sa2/v1/agree", sid + u32(r) + rctx + U_r)


def agree_set(sid: bytes, r: int, signatures: Mapping[int, bytes]) -> bytes:
    """Not signed by the aggregator: it is what the witnesses signed."""
    return sid + u32(r) + listed([u32(v) + signatures[v] for v in sorted(signatures)])


def unmask_response(
    sid: bytes,
    r: int,
    U_r: bytes,
    listed_devices: Sequence[int],
    held: Mapping[int, bytes],
    secret: bytes,
) -> bytes:
    """The have bitmap has one bit for each of `listed_devices`, by place in that list."""
    places = [p for p, device in enumerate(listed_devices) if device in held]
    body = sid + u32(r) + H("sa2/v1/U", U_r) + bitmap(places, len(listed_devices))
    body += b"".join(held[listed_devices[p]] for p in places)
    return body + sign(secret, "sa2/v1/unmask-response", body)


def result_hash(words: bytes) -> bytes:
    return H("sa2/v1/result", words)


def round_result(
    sid: bytes,
    r: int,
    rctx: bytes,
    U_r: bytes,
    words: bytes,
    weight_sum: int,
    secret: bytes,
) -> bytes:
    body = sid + u32(r) + rctx + U_r + result_hash(words) + u64(weight_sum)
    return body + sign(secret, "sa2/v1/round-result", body)


def round_abort(sid: bytes, r: int, rctx: bytes, reason: int, secret: bytes) -> bytes:
    body = sid + u32(r) + rctx + u16(reason)
    return body + sign(secret, "sa2/v1/round-abort", body)
