"""What an honest aggregator computes at the end of a round (7.8, 11.1, 11.5)."""

from __future__ import annotations

from collections.abc import Mapping

from tests.reference.curve import x25519_public
from tests.reference.device import commitment, pair_mask_key, pair_sk, self_mask_key
from tests.reference.session import Session
from tests.reference.values import interpolate_at_zero


def rebuilt(shares: Mapping[int, int], t: int) -> int:
    """The secret from the shares of the first t holders by index; holder v sits at x = v + 1."""
    first = sorted(shares.items())[:t]
    if len(first) < t:
        raise ValueError("fewer than t answers")
    return interpolate_at_zero([(holder + 1, share) for holder, share in first])


def check_self(session: Session, device: int, r: int, s: int, com: bytes) -> None:
    if commitment(s, session.ho, session.id(device), r) != com:
        raise ValueError("the shares do not open the commitment")


def check_pair(session: Session, device: int, r: int, p: int, pk: bytes) -> bytes:
    """The round's secret key, when it belongs to the advertised public one."""
    sk = pair_sk(p, session.ho, session.id(device), r)
    if x25519_public(sk) != pk:
        raise ValueError("the shares do not give the advertised round key")
    return sk


def unmasked(
    session: Session,
    rctx: bytes,
    active: set[int],
    inputs: Mapping[int, list[int]],
    self_secrets: Mapping[int, int],
    pair_sks: Mapping[int, bytes],
    pks: Mapping[int, bytes],
) -> list[int]:
    """The sum of the words of U_r.

    inputs: y of U_r by roster index; self_secrets: s of U_r; pair_sks: sk of A_r minus U_r;
    pks: round keys of A_r.
    """
    size = len(next(iter(inputs.values())))
    total = [sum(y[i] for y in inputs.values()) % 2**64 for i in range(size)]

    def take(key: bytes, sign: int) -> None:
        stream = session.suite.stream(key, 8 * size)
        for i in range(size):
            mask = int.from_bytes(stream[8 * i : 8 * i + 8], "little")
            total[i] = (total[i] - sign * mask) % 2**64

    for device, s in self_secrets.items():
        take(self_mask_key(s, rctx, session.id(device)), 1)
    for gone, sk in pair_sks.items():
        for left in session.graph.neighbours[gone] & set(inputs) & active:
            key = pair_mask_key(sk, rctx, session, session.id(gone), left, pks)
            take(key, 1 if left < gone else -1)
    return total
