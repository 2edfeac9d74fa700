"""Who takes part in a session of the vectors: keys, epoch secrets, the offer; all from a seed."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.certificates import (
    AGGREGATOR,
    DEVICE,
    Party,
    authority_key_id,
    revocation_list,
)
from tests.reference.curve import ed25519_public
from tests.reference.device import Device
from tests.reference.finder import Claims, derive
from tests.reference.lanes import Field, Params, field_for
from tests.reference.messages import Offer, Template
from tests.reference.values import Entropy, H

NOW = 1_800_000_000
YEAR_S = 365 * 86_400
FEDERATION = b"federation-00001"
TASK = b"task-00000000001"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a session is like.

    Attributes:
        absent: stage -> devices (by index) that fall silent from that message on, for good.
            Stages: shares, vector, agree, answer.
        late: devices whose vector arrives after U_r is fixed, in every round.
        rounds: numbers of the rounds that are run; the epoch has R of them.
        full: devices whose every value is written down; of others, messages' hashes only.
    """

    name: str
    about: str
    n: int
    suite: int = 1
    profile: int = 1
    mode: int = 1
    R: int = 3
    rounds: tuple[int, ...] = (0,)
    dims: tuple[int, ...] = (5, 3)
    bits: tuple[int, ...] = (16, 8)
    W: float = 4.0
    claims: Claims = Claims(50_000, 100_000, 64, 20, 900_000, 3)
    absent: tuple[tuple[str, tuple[int, ...]], ...] = ()
    late: tuple[int, ...] = ()
    full: tuple[int, ...] = ()

    def silent(self, stage: str) -> set[int]:
        """Devices that have fallen silent at `stage` or before it."""
        order = ("shares", "vector", "agree", "answer")
        upto = order[: order.index(stage) + 1]
        return {v for name, devices in self.absent if name in upto for v in devices}


@dataclass(frozen=True, slots=True)
class Cast:
    """The parties of a recipe; devices in roster order."""

    recipe: Recipe
    authority: bytes
    aggregator: Party
    devices: tuple[Device, ...]
    draws: tuple[tuple[bytes, ...], ...]
    certificates: tuple[bytes, ...]
    aggregator_certificate: bytes
    revocations: bytes
    offer: Offer
    offer_bytes: bytes

    @property
    def ho(self) -> bytes:
        return H("sa2/v1/offer", self.offer_bytes)


def template_params(recipe: Recipe) -> Params:
    """The params of the offer's only template entry."""
    n_max = recipe.n + 2
    fields = [field_for(d, q, 1.0, n_max) for d, q in zip(recipe.dims, recipe.bits, strict=True)]
    return Params(recipe.mode, tuple(fields), n_max, 0, 0, 0, 0.0, recipe.W, 0.0, 0.0, 0, bytes(16))


def round_params(recipe: Recipe, r: int, nonce: bytes) -> Params:
    """RoundStart's params: the clip of the first field is halved from round to round (12.2)."""
    base = template_params(recipe)
    derived = derive(recipe.n, recipe.profile, recipe.claims)
    fields = list(base.fields)
    f = fields[0]
    fields[0] = Field(f.dims, f.q, f.L, f.b, f.C / 2**r)
    return Params(
        recipe.mode,
        tuple(fields),
        base.n_max,
        derived.A_min,
        derived.u_min,
        derived.d,
        0.0,
        recipe.W,
        0.0,
        0.0,
        0,
        nonce,
    )


def _party(entropy: Entropy, role: int, serial: int) -> Party:
    return Party(
        FEDERATION, role, entropy.draw(32), entropy.draw(32), serial, NOW - YEAR_S, NOW + YEAR_S
    )


def make_cast(recipe: Recipe) -> Cast:
    """Draw everybody's secrets and sign the offer."""
    entropy = Entropy(H("sa2/v1/seeded-fork", b"vectors", recipe.name.encode()))
    authority = entropy.draw(32)
    aggregator = _party(entropy.fork("aggregator"), AGGREGATOR, 1)
    found = []
    for number in range(recipe.n):
        own = entropy.fork(f"device {number}")
        party = _party(own, DEVICE, number + 2)
        draws = tuple(own.draw(32) for _ in range(4))  # rounding key, seed, wrap key, c_0
        found.append((party.id, Device(party, draws[1], draws[0]), draws))
    found.sort(key=lambda item: item[0])
    revocations = revocation_list(authority, FEDERATION, 1, NOW, NOW + YEAR_S, (1_000, 1_001))
    offer = Offer(
        recipe.suite,
        recipe.profile,
        recipe.mode,
        FEDERATION,
        TASK,
        1,
        recipe.R,
        NOW,
        3_600,
        recipe.claims,
        recipe.n + 2,
        (Template("test/1", "sum", template_params(recipe)),),
        (60, 120, 30),
    )
    certificate = aggregator.certificate(authority)
    offer_bytes = offer.encoded(
        authority_key_id(ed25519_public(authority)),
        certificate,
        revocations,
        aggregator.ik_secret,
    )
    devices = tuple(device for _, device, _ in found)
    return Cast(
        recipe,
        authority,
        aggregator,
        devices,
        tuple(draws for _, _, draws in found),
        tuple(device.party.certificate(authority) for device in devices),
        certificate,
        revocations,
        offer,
        offer_bytes,
    )
