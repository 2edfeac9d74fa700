"""The set-up of section 6 with honest parties: every message from Advertise to Ready."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference import messages
from tests.reference.cast import Cast
from tests.reference.curve import x25519_public
from tests.reference.device import Device
from tests.reference.finder import PROFILE_K, derive
from tests.reference.graph import graph_seed, seeders_of
from tests.reference.session import Session, open_session
from tests.reference.values import H, bitmap


@dataclass(frozen=True, slots=True)
class SetUp:
    """Messages by roster index. A device that fell silent has no Shares and no Ready."""

    cast: Cast
    session: Session
    advertise: tuple[bytes, ...]
    pks: tuple[tuple[bytes, ...], ...]
    coms: tuple[tuple[bytes, ...], ...]
    roster: bytes
    seeders: tuple[int, ...]
    reveals: dict[int, bytes]
    seed: bytes
    peer_keys: dict[int, bytes]
    polynomials: dict[int, list[list[int]]]
    boxes: dict[int, dict[int, bytes]]
    shares: dict[int, bytes]
    deliver: dict[int, bytes]
    ready: dict[int, bytes]

    @property
    def members(self) -> list[int]:
        return sorted(self.ready)


def set_up(cast: Cast) -> SetUp:
    """Run it. Nobody's seed is ever missing; whoever is silent at `shares` sends nothing more."""
    recipe, offer, ho, secret = cast.recipe, cast.offer, cast.ho, cast.aggregator.ik_secret
    adverts, entries, pks, coms = [], [], [], []
    for device, certificate in zip(cast.devices, cast.certificates, strict=True):
        pks.append(tuple(x25519_public(device.round_sk(ho, r)) for r in range(offer.R)))
        coms.append(tuple(device.com(ho, r) for r in range(offer.R)))
        box_pk = x25519_public(device.box_sk(ho))
        message, entry = messages.advertise(
            ho,
            certificate,
            box_pk,
            pks[-1],
            coms[-1],
            device.nonce_com(ho),
            device.party.ik_secret,
        )
        adverts.append(message)
        entries.append(entry)
    roster = messages.roster(ho, entries, secret)
    rd = H("sa2/v1/roster", ho, roster)
    seeders, reveals, seed, drawn = _seeding(cast, rd)
    session = open_session(offer, ho, roster, entries, drawn)
    near = session.graph.neighbours
    silent = recipe.silent("shares")
    dealers = [i for i in range(recipe.n) if i not in silent]
    dealt = {i: device.polynomials(session) for i, device in enumerate(cast.devices)}
    boxes = {i: _boxes(session, cast.devices[i], i, dealt[i]) for i in dealers}
    received = {j: {i: boxes[i][j] for i in near[j] if i in boxes} for j in dealers}
    keys = [device.party.ik_secret for device in cast.devices]
    return SetUp(
        cast,
        session,
        tuple(adverts),
        tuple(pks),
        tuple(coms),
        roster,
        seeders,
        reveals,
        seed,
        {j: messages.peer_keys(rd, [pks[i] for i in sorted(near[j])]) for j in range(recipe.n)},
        dealt,
        boxes,
        {i: messages.shares(session.sid, boxes[i], keys[i]) for i in dealers},
        {j: messages.deliver(session.sid, received[j], secret) for j in dealers},
        {j: _ready(session, j, set(received[j]), keys[j]) for j in dealers},
    )


def _seeding(cast: Cast, rd: bytes) -> tuple[tuple[int, ...], dict[int, bytes], bytes, bytes]:
    """Seeders, their Reveals, the Seed message and graph_seed; all empty in profile C."""
    offer, ho = cast.offer, cast.ho
    if offer.profile != PROFILE_K:
        return (), {}, b"", b""
    n = cast.recipe.n
    chosen = seeders_of(rd, n, derive(n, offer.profile, offer.claims).m)
    reveals, items, nonces = {}, [], []
    for index in chosen:
        device = cast.devices[index]
        nonce = device.nonce(ho)
        reveals[index] = messages.reveal(ho, rd, nonce, device.party.ik_secret)
        items.append((index, nonce, reveals[index][-64:]))
        nonces.append(nonce)
    seed = messages.seed(rd, items, cast.aggregator.ik_secret)
    return tuple(chosen), reveals, seed, graph_seed(rd, nonces)


def _boxes(
    session: Session, device: Device, me: int, polynomials: list[list[int]]
) -> dict[int, bytes]:
    near = sorted(session.graph.neighbours[me])
    return {other: device.box(session, me, other, polynomials) for other in near}


def _ready(session: Session, me: int, good: set[int], secret: bytes) -> bytes:
    return messages.ready(session.sid, bitmap(good | {me}, session.n), secret)
