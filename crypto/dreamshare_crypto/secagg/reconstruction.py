"""From answers to the sum: shares, secrets, masks (docs/protocol.md section 11).

Rules:
- a secret is reconstructed from the first t answers and checked against what its owner published:
  s against com[r], p by recomputing pk[r]; nothing unchecked is used (11.1);
- a secret that fails its check gives the round up and names nobody; decoding wrong shares and
  finding out who spoilt them is not in this release (11.2 to 11.4);
- everything or nothing: no partial result leaves this module (11.6).
"""

from __future__ import annotations

from collections.abc import Mapping

from dreamshare_crypto.errors import CryptoError
from dreamshare_crypto.secagg.masking import pair_sign, self_mask_key, signed_pair_masks
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.schedule import commitment, pair_key
from dreamshare_crypto.secagg.server_setup import Cohort
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.shamir import Interpolator, encode_element

Answers = Mapping[int, Mapping[int, bytes]]
"""Holder's roster index -> dealer's roster index -> 32-byte share, in order of arrival."""


class BadShares(CryptoError):
    """A reconstructed secret is not the one that its owner published."""


def enough(active: frozenset[int], answers: Answers, t: int) -> bool:
    """Say whether every active device's secret has at least `t` answers."""
    return all(sum(dealer in shares for shares in answers.values()) >= t for dealer in active)


def masks_of_sum(
    cohort: Cohort, start: RoundStart, survivors: frozenset[int], answers: Answers
) -> tuple[tuple[Secret, int], ...]:
    """Return the masks that are left in the sum of the survivors' vectors, with their signs.

    That is each survivor's own mask, and the pair masks between survivors and devices that were
    active and did not survive; those among survivors have cancelled.

    Args:
        cohort: the session and its commitments.
        start: the round.
        survivors: U_r.
        answers: with `enough` shares.

    Raises:
        BadShares: a secret does not fit its commitment or public key.
    """
    session, r, context = cohort.session, start.round, start.context()
    interpolator = Interpolator(session.derived.t)
    masks: list[tuple[Secret, int]] = []
    for dealer in sorted(start.active):
        secret = _reconstruct(interpolator, session.derived.t, dealer, answers)
        device = session.ids[dealer]
        if dealer in survivors:
            if commitment(secret, session.offer_hash, device, r) != cohort.commitments[dealer][r]:
                raise BadShares(f"the self-mask secret of roster index {dealer} does not check")
            masks.append((self_mask_key(secret, context, device), 1))
            continue
        own = pair_key(secret, session.offer_hash, device, r)
        if own.public != session.peer(dealer, r).key:
            raise BadShares(f"the pair secret of roster index {dealer} does not check")
        peers = tuple(session.peer(index, r) for index in sorted(survivors))
        keys = signed_pair_masks(own, device, peers, context)
        masks += (
            (key, pair_sign(peer.id, device)) for (key, _), peer in zip(keys, peers, strict=True)
        )
    return tuple(masks)


def _reconstruct(interpolator: Interpolator, t: int, dealer: int, answers: Answers) -> Secret:
    held = [(holder, shares[dealer]) for holder, shares in answers.items() if dealer in shares]
    xs = [holder + 1 for holder, _ in held[:t]]
    value = interpolator.combine(xs, [share for _, share in held[:t]])
    return Secret(encode_element(value), "reconstructed secret")
