"""An in-memory cohort: real machines at both ends, messages moved by hand, a clock that waits.

    federation = Federation()
    cohort = Cohort(n=4)            # four devices and an aggregator, set-up not begun
    cohort.set_up()                 # offer to Ready, by the honest machines
    total = cohort.run_round(0)     # a whole round; the sum as the aggregator decoded it

Rules:
- every effect of every machine is carried out here in order: records and key slots end in a
  `Journal`, so that a device can be killed and restored at any effect;
- nothing is sent behind a test's back: `down` and `up` are lists that a test may edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.certificates import (
    Certificate,
    RevocationList,
    Role,
    authority_key_id,
    device_id,
)
from dreamshare_crypto.encoding import FieldParams, Params
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.graph import Floor
from dreamshare_crypto.identity import Identity, TlsMaterial
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.keys import AgreementKey, IdentityKey
from dreamshare_crypto.secagg.client import SecaggClient
from dreamshare_crypto.secagg.events import (
    Arrived,
    ClientEffect,
    ClientInput,
    Compute,
    Computed,
    EpochOver,
    Forget,
    Keep,
    KeepEvidence,
    Opened,
    Payload,
    Persist,
    Received,
    Record,
    Refuse,
    RoundAbandoned,
    Send,
    ServerEffect,
    ServerInput,
    Stage,
    Summed,
)
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.offer import Deadlines, TemplateStep
from dreamshare_crypto.secagg.server import SecaggServer
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


@dataclass
class Journal:
    """What one device has on disk."""

    records: list[Record] = field(default_factory=list)
    slots: dict[str, Secret] = field(default_factory=dict)

    def copy(self) -> Journal:
        return Journal(list(self.records), dict(self.slots))


@dataclass
class Party:
    """One device: its machine, its disk, and everything that it ever did."""

    identity: Identity
    client: SecaggClient
    memory: Memory
    floor: Floor
    entropy: SeededEntropy
    journal: Journal = field(default_factory=Journal)
    effects: list[ClientEffect] = field(default_factory=list)
    vectors: dict[int, tuple[NDArray[np.float64], ...]] = field(default_factory=dict)

    @property
    def id(self) -> bytes:
        return self.identity.id

    def handle(self, event: ClientInput, now: float) -> tuple[ClientEffect, ...]:
        """Hand an input over and carry the effects out, except sends and computations."""
        effects = self.client.handle(event, now)
        for effect in effects:
            self.carry_out(effect)
        return effects

    def carry_out(self, effect: ClientEffect) -> None:
        self.effects.append(effect)
        match effect:
            case Persist(record):
                self.journal.records.append(record)
            case Keep(slot, secret):
                self.journal.slots[slot] = secret
            case Forget(slot):
                self.journal.slots.pop(slot, None)
            case _:
                pass

    def restart(self) -> None:
        """Kill the process and start it again from its journal."""
        self.memory = Memory()
        self.client = SecaggClient.restore(
            self.identity,
            TASK,
            self.floor,
            self.entropy,
            self.journal.records,
            self.journal.slots,
            self.memory,
        )

    def said(self, kind: type) -> list[ClientEffect]:
        """Return every effect of one type so far."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def refusals(self) -> list[str]:
        """Return the codes of every refusal so far."""
        return [effect.code.value for effect in self.effects if isinstance(effect, Refuse)]

    def evidence(self) -> list[KeepEvidence]:
        return [effect for effect in self.effects if isinstance(effect, KeepEvidence)]


def make_params(dims: Sequence[int] = (5,), n_max: int = 16, clip: float = 1.0) -> Params:
    """Return an encoding as it stands in a template."""
    return Params(
        mode=1,
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


def make_terms(
    *,
    rounds: int = 4,
    dims: Sequence[int] = (5,),
    n_max: int = 16,
    least_cohort: int = 3,
    a_min_ppm: int = 0,
    **changes: int,
) -> EpochTerms:
    terms = EpochTerms(
        template=(TemplateStep("test/1", "sum", make_params(dims, n_max)),),
        rounds=rounds,
        least_cohort=least_cohort,
        a_min_ppm=a_min_ppm,
        n_max=n_max,
        deadlines=Deadlines(setup_s=60, collect_s=120, reveal_s=30),
    )
    return replace(terms, **changes)


def spec_terms(**changes: int) -> EpochTerms:
    """Return terms that give n = 10 the numbers of section 16: A_min = 9, u_min = 8."""
    return make_terms(least_cohort=8, a_min_ppm=900_000, **changes)


def payload_of(name: str, draw: int = 0) -> Payload:
    """Return what a plan called `name` hashes to."""
    base = hash_parts("sa2/v1/payload", name.encode())
    return Payload(
        hash=hash_parts("sa2/v1/payload", name.encode(), bytes([draw])), base_hash=base, draw=draw
    )


Keeps = Callable[[int, Stage], bool]
"""(device number, stage) -> whether a message of that stage still gets through."""


class Cohort:
    """n devices and one aggregator of one task. Devices are numbered in the order of their ids."""

    def __init__(
        self,
        n: int,
        terms: EpochTerms | None = None,
        floor: Floor | None = None,
        federation: Federation | None = None,
    ) -> None:
        self.federation = Federation() if federation is None else federation
        self.terms = make_terms() if terms is None else terms
        self.now = NOW
        self.aggregator = self.federation.issue(Role.AGGREGATOR, "aggregator")
        identities = [self.federation.issue(Role.DEVICE, f"device {i}") for i in range(n)]
        identities.sort(key=lambda identity: identity.id)
        self.floor = Floor() if floor is None else floor
        self.parties = [self._party(identity) for identity in identities]
        self.number = {party.id: i for i, party in enumerate(self.parties)}
        self.down: list[tuple[int, Stage, bytes]] = []
        self.up: list[tuple[int, Stage, bytes]] = []
        self.server_effects: list[ServerEffect] = []
        self.payload = payload_of("nothing")
        self.server = self.new_server(epoch=1)

    def _party(self, identity: Identity) -> Party:
        entropy = self.federation.entropy.fork(f"epoch secrets of {identity.id.hex()}")
        memory = Memory()
        client = SecaggClient(identity, TASK, self.floor, entropy, memory)
        return Party(identity, client, memory, self.floor, entropy)

    def new_server(self, epoch: int, candidates: Sequence[bytes] | None = None) -> SecaggServer:
        return SecaggServer(
            self.aggregator,
            TASK,
            epoch,
            self.terms,
            self.federation.entropy.fork(f"server {epoch}"),
            [party.id for party in self.parties] if candidates is None else candidates,
            self.now,
        )

    # ---- moving messages -------------------------------------------------------------------------

    def serve(self, event: ServerInput) -> tuple[ServerEffect, ...]:
        """Hand an input to the aggregator and queue what it sends."""
        return self.take_server(self.server.handle(event, self.now))

    def take_server(self, effects: Iterable[ServerEffect]) -> tuple[ServerEffect, ...]:
        effects = tuple(effects)
        self.server_effects += effects
        for effect in effects:
            if isinstance(effect, Send):
                self.down += ((self.number[d], effect.stage, effect.body) for d in effect.to)
        return effects

    def give(self, number: int, stage: Stage, body: bytes) -> tuple[ClientEffect, ...]:
        """Hand a message to a device and queue what it sends; computations are carried out."""
        payload = self.payload if stage is Stage.ROUND_START else None
        return self.tell(number, Received(stage, body, payload))

    def tell(self, number: int, event: ClientInput) -> tuple[ClientEffect, ...]:
        party = self.parties[number]
        effects = party.handle(event, self.now)
        for effect in effects:
            match effect:
                case Send(stage, body):
                    self.up.append((number, stage, body))
                case Compute(round_):
                    fields, weight = self.update_of(number, round_, effect.params)
                    effects += self.tell(number, Computed(round_, fields, weight))
                case _:
                    pass
        return effects

    def update_of(
        self, number: int, round_: int, params: Params
    ) -> tuple[tuple[NDArray[np.float64], ...], float]:
        """Return a device's update: on the grid of the encoding, so that sums are exact."""
        levels = 2**16 - 1
        fields = []
        for place, f in enumerate(params.fields):
            steps = (np.arange(f.dims) * 7919 + number * 104_729 + round_ * 31 + place) % levels
            fields.append(((2 * steps - levels) / levels * f.clip).astype(np.float64))
        self.parties[number].vectors[round_] = tuple(fields)
        return tuple(fields), 1.0

    def pump(self, keeps: Keeps = lambda number, stage: True) -> None:
        """Move messages until there are none; those that `keeps` denies are lost."""
        while self.down or self.up:
            while self.down:
                number, stage, body = self.down.pop(0)
                if keeps(number, stage):
                    self.give(number, stage, body)
            while self.up:
                number, stage, body = self.up.pop(0)
                if keeps(number, stage):
                    self.serve(Arrived(self.parties[number].id, stage, body))

    # ---- whole runs ------------------------------------------------------------------------------

    def start(self) -> None:
        self.take_server(self.server.start(self.now))

    def set_up(self, keeps: Keeps = lambda number, stage: True) -> None:
        """Run the set-up; stages that somebody's silence keeps open end at their deadline."""
        self.start()
        self.pump(keeps)
        for _ in range(3):
            if self.server.session is None and self.server.deadline is not None:
                self.pass_deadline(keeps)

    def pass_deadline(self, keeps: Keeps = lambda number, stage: True) -> None:
        """Let the aggregator's deadline come."""
        from dreamshare_crypto.secagg.events import Ticked

        self.now = max(self.now, self.server.deadline or self.now)
        self.serve(Ticked())
        self.pump(keeps)

    def open(self, payload: Payload | None = None, params: Params | None = None) -> None:
        """Open a round and leave its RoundStarts in `down`."""
        self.payload = (
            payload_of(f"round at {len(self.server_effects)}") if payload is None else payload
        )
        wanted = self.terms.template[0].params if params is None else params
        self.serve(Opened(self.payload.hash, wanted, collect_s=60.0, reveal_s=20.0))

    def run_round(
        self, keeps: Keeps = lambda number, stage: True, payload: Payload | None = None
    ) -> Summed | RoundAbandoned:
        """Run a round to its end and return it; silence is waited out."""
        before = len(self.server_effects)
        self.open(payload)
        self.pump(keeps)
        for _ in range(8):
            ended = self.outcome(before)
            if ended is not None:
                return ended
            self.pass_deadline(keeps)
        raise AssertionError("the round never ended")

    def outcome(self, since: int = 0) -> Summed | RoundAbandoned | None:
        ends = [e for e in self.server_effects[since:] if isinstance(e, Summed | RoundAbandoned)]
        return ends[0] if ends else None

    def over(self) -> EpochOver | None:
        ends = [e for e in self.server_effects if isinstance(e, EpochOver)]
        return ends[0] if ends else None

    def expected_sum(self, round_: int, numbers: Iterable[int]) -> NDArray[np.float64]:
        """Return the sum over devices of the updates that they really made, first field."""
        return np.sum([self.parties[i].vectors[round_][0] for i in numbers], axis=0)
