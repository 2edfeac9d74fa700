"""Who and what a simulated epoch is made of: an authority, its parties, terms and payloads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dreamshare_crypto.certificates import (
    Certificate,
    RevocationList,
    Role,
    authority_key_id,
    device_id,
)
from dreamshare_crypto.encoding import FieldParams, Params
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.graph import Mode
from dreamshare_crypto.identity import Identity, TlsMaterial
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.keys import AgreementKey, IdentityKey
from dreamshare_crypto.noise import with_noise
from dreamshare_crypto.secagg.events import Payload
from dreamshare_crypto.secagg.offer import Deadlines, TemplateStep
from dreamshare_crypto.secagg.terms import EpochTerms
from dreamshare_crypto.secret import Secret

FEDERATION = b"federation-00001"
TASK = b"task-00000000001"
NOW = 1_800_000_000.0
YEAR_S = 365 * 86_400


class Federation:
    """An authority that certifies whomever a test wants."""

    def __init__(self, seed: bytes = b"federation", federation: bytes = FEDERATION) -> None:
        self.id = federation
        self.entropy = SeededEntropy(seed)
        self.authority = IdentityKey.generate(self.entropy)
        self.serial = 0
        self.revocations = self.revoke(1, ())

    def revoke(self, number: int, serials: Iterable[int], now: float = NOW) -> RevocationList:
        """Sign a revocation list."""
        day = int(now)
        return RevocationList.issue(self.authority, self.id, number, day, day + YEAR_S, serials)

    def certify(
        self,
        role: Role,
        signing: IdentityKey,
        kem: AgreementKey,
        *,
        id_: bytes | None = None,
        not_after: int = int(NOW) + YEAR_S,
    ) -> Certificate:
        """Sign a certificate."""
        self.serial += 1
        return Certificate(
            federation=self.id,
            role=role,
            id=device_id(self.id, signing.public) if id_ is None else id_,
            ik=signing.public,
            kem=kem.public,
            serial=self.serial,
            not_before=int(NOW) - YEAR_S,
            not_after=not_after,
            issuer_key_id=authority_key_id(self.authority.public),
        ).sign(self.authority)

    def issue(self, role: Role, label: str) -> Identity:
        """Make a party."""
        entropy = self.entropy.fork(label)
        signing, kem = IdentityKey.generate(entropy), AgreementKey.generate(entropy)
        return Identity(
            signing=signing,
            kem=kem,
            certificate=self.certify(role, signing, kem),
            authority_key=self.authority.public,
            aggregators=(),
            revocations=self.revocations,
            tls=TlsMaterial(b"", Secret(b""), b""),
        )


def make_params(
    dims: Sequence[int] = (5,),
    n_max: int = 16,
    clip: float = 1.0,
    mode: Mode = Mode.AGREED,
) -> Params:
    """Return an encoding as it stands in a template."""
    return Params(
        mode=mode,
        fields=tuple(FieldParams.create(d, 16, clip, n_max) for d in dims),
        n_max=n_max,
        a_min=0,
        u_min=0,
        d=0,
        l2_clip=0.0,
        weight_cap=1.0,
        noise_variance=0.0,
        noise_scale=0.0,
        tail=0,
        round_nonce=bytes(16),
    )


def noisy_params(
    dims: Sequence[int] = (5,), n_max: int = 16, multiplier: float = 1.0, crowd: int = 3
) -> Params:
    """Return an encoding with noise: a clip of 1 in l2, on fields of 12 bits."""
    quiet = make_params(dims, n_max)
    coarse = tuple(FieldParams.create(d, 12, 1.0, n_max) for d in dims)
    return with_noise(replace(quiet, fields=coarse), 1.0, multiplier, crowd)


def make_terms(
    *,
    rounds: int = 4,
    dims: Sequence[int] = (5,),
    n_max: int = 16,
    least_cohort: int = 3,
    a_min_ppm: int = 0,
    mode: Mode = Mode.AGREED,
    **changes: int,
) -> EpochTerms:
    made: dict[str, object] = {
        "template": (TemplateStep("test/1", "sum", make_params(dims, n_max, mode=mode)),),
        "rounds": rounds,
        "least_cohort": least_cohort,
        "a_min_ppm": a_min_ppm,
        "n_max": n_max,
        "mode": mode,
        "deadlines": Deadlines(setup_s=60, collect_s=120, reveal_s=30),
    }
    return EpochTerms(**{**made, **changes})  # type: ignore[arg-type]


def spec_terms(**changes: int) -> EpochTerms:
    """Return terms that give n = 10 the numbers of section 16: A_min = 9, u_min = 8."""
    return make_terms(least_cohort=8, a_min_ppm=900_000, **changes)


def bounded_terms(**changes: int) -> EpochTerms:
    """Return bounded terms of the rows of 4.5: A_min nine tenths of a roster, d a tenth.

    For n = 10: A_min = 9, d = 1, u_min = E = 8, as the agreed terms of section 16 have them.
    """
    wanted = {"least_cohort": 8, "a_min_ppm": 900_000, "d_ppm": 100_000} | changes
    return make_terms(mode=Mode.BOUNDED, **wanted)


def payload_of(name: str, draw: int = 0) -> Payload:
    """Return what a plan called `name` hashes to."""
    base = hash_parts("sa2/v1/payload", name.encode())
    return Payload(
        hash=hash_parts("sa2/v1/payload", name.encode(), bytes([draw])), base_hash=base, draw=draw
    )
