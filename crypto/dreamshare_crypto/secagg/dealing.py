"""Dealing shares of all rounds' secrets, and opening what others dealt (docs/protocol.md 6.5, 6.6).

Rules:
- a dealer's boxes are a function of (seed, sid): dealing again gives the same bytes;
- the x-coordinate of a holder is its roster index + 1 in every sharing (3.3);
- a box that does not open, or holds a share that is no field element, is bad as a whole;
- both identities, both keys and the session are in the box key and its associated data: a box can
  be neither turned round nor moved to another pair or epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dreamshare_crypto.aead import NONCE_BYTES, open_box, seal
from dreamshare_crypto.errors import AuthenticationError, MalformedError
from dreamshare_crypto.kdf import derive, hash_parts, lp
from dreamshare_crypto.keys import AgreementKey
from dreamshare_crypto.secagg.epoch_messages import Deliver, Shares
from dreamshare_crypto.secagg.schedule import EpochKeys, Kind
from dreamshare_crypto.secagg.session import Session
from dreamshare_crypto.secagg.vault import RoundSecrets
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.shamir import ELEMENT_BYTES, decode_element, split

Held = tuple[tuple[bytes, bytes], ...]
"""One dealer's (p-share, s-share) for each round."""


@dataclass(frozen=True, slots=True)
class Dealt:
    """The boxes for the neighbours, unsigned, and what the dealer holds of its own secrets.

    In profile K that is nothing, and `own` is empty.
    """

    shares: Shares
    own: Held = field(repr=False)


def deal(session: Session, own: int, keys: EpochKeys) -> Dealt:
    """Share p[r] and s[r] of every round among the device's holders."""
    holders = session.graph.holders(own)
    xs = tuple(holder + 1 for holder in holders)
    plain: list[list[bytes]] = [[] for _ in xs]
    held: list[tuple[bytes, bytes]] = []
    for r in range(session.offer.rounds):
        by_kind = tuple(_split(session, keys, kind, r, xs) for kind in (Kind.P, Kind.S))
        for parts, p_share, s_share in zip(plain, *by_kind, strict=True):
            parts += (p_share, s_share)
        if own in holders:
            held.append((b"", by_kind[1][holders.index(own)]))  # its p-share it never reveals (4.3)
    box_key = keys.box_key()
    boxes = tuple(
        (holder, _seal(session, box_key, own, holder, b"".join(parts)))
        for holder, parts in zip(holders, plain, strict=True)
        if holder != own
    )
    return Dealt(Shares(session.sid, boxes), tuple(held))


def open_boxes(session: Session, own: int, keys: EpochKeys, deliver: Deliver) -> dict[int, Held]:
    """Return the shares in every good box, by dealer; bad boxes are left out (6.6)."""
    box_key = keys.box_key()
    opened: dict[int, Held] = {}
    for dealer, box in deliver.boxes:
        try:
            opened[dealer] = _held(_open(session, box_key, own, dealer, box))
        except (AuthenticationError, MalformedError):
            continue
    return opened


def round_secrets(
    session: Session, keys: EpochKeys, held: Mapping[int, Held]
) -> tuple[RoundSecrets, ...]:
    """Return what has to be kept for each round: own secrets and everybody's shares."""
    return tuple(
        RoundSecrets(
            p=keys.secret(Kind.P, r),
            s=keys.secret(Kind.S, r),
            shares={dealer: shares[r] for dealer, shares in held.items()},
        )
        for r in range(session.offer.rounds)
    )


def _split(
    session: Session, keys: EpochKeys, kind: Kind, r: int, xs: tuple[int, ...]
) -> tuple[bytes, ...]:
    secret = decode_element(keys.secret(kind, r).reveal())
    stream = keys.coefficients(kind, r, session.sid, session.derived.t, session.suite)
    return split(secret, session.derived.t, xs, stream)


def _box_key(session: Session, shared: Secret, dealer: int, holder: int) -> Secret:
    ends = (session.entry(dealer), session.entry(holder))
    parts = (*(end.id for end in ends), *(end.box_pk for end in ends))
    return derive(shared, session.sid, 32, "sa2/v1/box", *parts)


def _associated(session: Session, dealer: int, holder: int) -> bytes:
    numbers = (session.offer.rounds, session.derived.t)
    return lp(
        session.sid,
        session.ids[dealer],
        session.ids[holder],
        *(number.to_bytes(4, "little") for number in numbers),
    )


def _seal(
    session: Session, box_key: AgreementKey, own: int, holder: int, plaintext: bytes
) -> bytes:
    key = _box_key(session, box_key.exchange(session.entry(holder).box_pk), own, holder)
    digest = hash_parts("sa2/v1/box-plain", plaintext)
    nonce = derive(key, session.sid, NONCE_BYTES, "sa2/v1/box-nonce", digest).reveal()
    return nonce + seal(key, nonce, plaintext, _associated(session, own, holder), session.suite)


def _open(session: Session, box_key: AgreementKey, own: int, dealer: int, box: bytes) -> bytes:
    key = _box_key(session, box_key.exchange(session.entry(dealer).box_pk), dealer, own)
    nonce, ciphertext = box[:NONCE_BYTES], box[NONCE_BYTES:]
    return open_box(key, nonce, ciphertext, _associated(session, dealer, own), session.suite)


def _held(plaintext: bytes) -> Held:
    elements = tuple(
        plaintext[at : at + ELEMENT_BYTES] for at in range(0, len(plaintext), ELEMENT_BYTES)
    )
    for element in elements:
        decode_element(element)
    return tuple(zip(elements[::2], elements[1::2], strict=True))
