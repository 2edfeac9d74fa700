"""Offers that must be refused (rows M and O)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.reference import messages
from tests.reference.cast import FEDERATION, NOW, YEAR_S
from tests.reference.certificates import authority_key_id, revocation_list
from tests.reference.curve import ed25519_public
from tests.reference.messages import Offer
from tests.reference.refused import Case, Stage, changed
from tests.reference.values import P, element


@dataclass(frozen=True, slots=True)
class Issuer:
    """Offers of the honest aggregator, with changes."""

    stage: Stage

    def offer(
        self,
        *,
        certificate: bytes | None = None,
        revocations: bytes | None = None,
        key_id: bytes | None = None,
        key: bytes | None = None,
        **changes: object,
    ) -> bytes:
        cast = self.stage.setup.cast
        claims = {k: v for k, v in changes.items() if k in type(cast.offer.claims).__slots__}
        others = {k: v for k, v in changes.items() if k not in claims}
        made: Offer = replace(
            cast.offer,
            claims=replace(cast.offer.claims, **claims),  # type: ignore[arg-type]
            **others,  # type: ignore[arg-type]
        )
        own = authority_key_id(ed25519_public(cast.authority))
        return made.encoded(
            own if key_id is None else key_id,
            cast.aggregator_certificate if certificate is None else certificate,
            cast.revocations if revocations is None else revocations,
            cast.aggregator.ik_secret if key is None else key,
        )

    def aggregator(self, **changes: object) -> bytes:
        """The aggregator's certificate with other contents, signed by the authority."""
        cast = self.stage.setup.cast
        return replace(cast.aggregator, **changes).certificate(cast.authority)  # type: ignore[arg-type]

    def revoking(self, *serials: int, **changes: int) -> bytes:
        cast = self.stage.setup.cast
        base = {"number": 1, "this_update": NOW, "next_update": NOW + YEAR_S, **changes}
        return revocation_list(cast.authority, FEDERATION, serials=serials, **base)


def offer_cases(stage: Stage) -> list[Case]:
    issuer, cast = Issuer(stage), stage.setup.cast
    honest = cast.offer_bytes
    by_aggregator = revocation_list(cast.aggregator.ik_secret, FEDERATION, 1, NOW, NOW + YEAR_S, ())
    # Offer: version u16, min_version u16, then the suite.
    version_2 = _resigned(honest, 0, b"\x02\0\x02\0", cast.aggregator.ik_secret)
    unsorted = _unsorted_list(stage)
    first = {
        "offer_bad_signature": ("M2", changed(honest, -1)),
        "offer_trailing_byte": ("M1", honest + b"\0"),
        "offer_short": ("M1", honest[:-1]),
        "offer_empty": ("M1", b""),
        "offer_kem_low_order": ("M1", _kem(stage, element(1))),
        "offer_kem_noncanonical": ("M1", _kem(stage, element(9 + P))),
        "offer_kem_top_bit": ("M1", _kem(stage, element(9 + 2**255))),
        "offer_list_unsorted": ("M1", issuer.offer(revocations=unsorted)),
        "offer_other_task": ("M2", issuer.offer(task=b"task-00000000002")),
        "offer_other_federation": ("M2", issuer.offer(federation=b"federation-00002")),
        "offer_signed_by_device": ("M2", issuer.offer(key=stage.device_key(1))),
        "version_unknown": ("O1", version_2),
        "suite_unknown": ("O1", issuer.offer(suite=3)),
        "profile_unknown": ("O1", issuer.offer(profile=3)),
        "mode_unknown": ("O1", issuer.offer(mode=3)),
        "profile_k_not_allowed": ("O1", issuer.offer(profile=2)),
        "bounded_not_allowed": ("O1", issuer.offer(mode=2, d_ppm=100_000)),
        "gamma_zero_offer": ("O1", issuer.offer(gamma_ppm=0)),
        "sigma_one_offer": ("O1", issuer.offer(sigma=1)),
        "least_cohort_2": ("O1", issuer.offer(least_cohort=2)),
        "R_257": ("O1", issuer.offer(R=257)),
        "R_0": ("O1", issuer.offer(R=0)),
        "life_25h": ("O1", issuer.offer(life_s=25 * 3_600)),
        "offer_expired": ("O1", issuer.offer(not_before=NOW - 7_200)),
        "offer_from_the_future": ("O1", issuer.offer(not_before=NOW + 1_000)),
        "aggregator_expired": (
            "O3",
            issuer.offer(certificate=issuer.aggregator(not_after=NOW - 1)),
        ),
        "aggregator_is_a_device": ("O3", issuer.offer(certificate=issuer.aggregator(role=1))),
        "aggregator_revoked": ("O3", issuer.offer(revocations=issuer.revoking(1))),
        "aggregator_uncertified": (
            "O3",
            issuer.offer(certificate=changed(cast.aggregator_certificate, -1)),
        ),
        "list_signed_by_aggregator": ("O3", issuer.offer(revocations=by_aggregator)),
        "stale_revocation_list": (
            "O3",
            issuer.offer(
                revocations=issuer.revoking(
                    this_update=NOW - YEAR_S, next_update=NOW - 100 * 86_400
                )
            ),
        ),
        "other_authority": ("O3", issuer.offer(key_id=bytes(32))),
    }
    cases = [Case(name, code, "offer", data, ()) for name, (code, data) in first.items()]
    newer = issuer.offer(revocations=issuer.revoking(number=5))
    cases += [
        Case("old_revocation_list", "O3", "offer", issuer.offer(epoch=2), (("offer", newer),)),
        Case("epoch_going_back", "O2", "offer", honest, (("offer", issuer.offer(epoch=2)),)),
        Case("two_offers_same_epoch", "O2", "offer", issuer.offer(life_s=1_800), ("offer",)),
    ]
    return cases


def _resigned(offer: bytes, at: int, data: bytes, key: bytes) -> bytes:
    from_body = offer[:-64]
    body = from_body[:at] + data + from_body[at + len(data) :]
    return body + messages.sign(key, "sa2/v1/offer", body)


def _kem(stage: Stage, kem: bytes) -> bytes:
    """An offer whose aggregator certificate names this X25519 key, all signatures good."""
    cast = stage.setup.cast
    certificate = cast.aggregator_certificate
    body = certificate[:66] + kem + certificate[98:-64]
    made = body + messages.sign(cast.authority, "sa2/v1/cert", body)
    return Issuer(stage).offer(certificate=made)


def _unsorted_list(stage: Stage) -> bytes:
    return Issuer(stage).revoking(1_001, 1_000)
