"""The offer of an epoch: what the aggregator claims and every device judges (docs/protocol.md 6).

Rules:
- the numbers of the offer are claims: devices compute thresholds themselves (4.1) and refuse what
  lies outside their floor (4.12), whatever is signed;
- fields that other releases may know other values of (version, suite, profile, mode) are plain
  integers here, so that an unknown value is refused as such (O1) and not as damage (M1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from dreamshare_crypto.certificates import CERTIFICATE_BYTES, Certificate, RevocationList
from dreamshare_crypto.encoding import Params
from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.graph import Claims
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.keys import SIGNATURE_BYTES
from dreamshare_crypto.secagg.round_messages import MOST_PARAMS_BYTES
from dreamshare_crypto.secagg.signed import Signed
from dreamshare_crypto.transcript import Reader, Writer

VERSION = 1
"""The protocol version of this release; also the least that it speaks."""

MOST_STEPS = 64
MOST_NAME_BYTES = 128
MOST_TEMPLATE_BYTES = 1024 * 1024
MOST_REVOCATION_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TemplateStep:
    """One step that rounds of the epoch may run.

    Attributes:
        algorithm, step: the ids, UTF-8, 1 to 128 bytes each.
        params: the encoding; `dims` and the lanes hold exactly, each field's `clip` is a maximum.
            `a_min`, `u_min` and `round_nonce` mean nothing here (4.1, 12.1).
    """

    algorithm: str
    step: str
    params: Params

    def write(self, writer: Writer) -> None:
        """Append the step's canonical bytes."""
        writer.var(self.algorithm.encode()).var(self.step.encode()).var(self.params.encode())

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read a step; MalformedError when it is none."""
        return cls(
            algorithm=_name(reader.var(MOST_NAME_BYTES)),
            step=_name(reader.var(MOST_NAME_BYTES)),
            params=Params.decode(reader.var(MOST_PARAMS_BYTES)),
        )


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds for a stage of the set-up, for collecting vectors, and for revealing: maxima."""

    setup_s: int
    collect_s: int
    reveal_s: int


@dataclass(frozen=True, slots=True)
class EpochOffer(Signed):
    """The aggregator opens epoch `epoch` of a task. Field meanings: docs/protocol.md 4, 5 and 6."""

    LABEL: ClassVar[str] = "sa2/v1/offer"

    version: int
    min_version: int
    suite: int
    profile: int
    mode: int
    federation: bytes
    task: bytes
    epoch: int
    authority_key_id: bytes
    aggregator: Certificate
    rounds: int
    not_before: int
    life_s: int
    gamma_ppm: int
    delta_ppm: int
    sigma: int
    eta: int
    a_min_ppm: int
    d_ppm: int
    least_cohort: int
    n_max: int
    template: tuple[TemplateStep, ...]
    deadlines: Deadlines
    revocations: RevocationList

    @property
    def ends(self) -> int:
        """When the epoch's life is over, Unix seconds."""
        return self.not_before + self.life_s

    @property
    def claims(self) -> Claims:
        """What thresholds are computed from (4.1)."""
        return Claims(
            profile=self.profile,
            mode=self.mode,
            gamma_ppm=self.gamma_ppm,
            delta_ppm=self.delta_ppm,
            sigma=self.sigma,
            eta=self.eta,
            a_min_ppm=self.a_min_ppm,
            d_ppm=self.d_ppm,
            least_cohort=self.least_cohort,
        )

    def digest(self) -> bytes:
        """Return ho, 32 bytes (section 3)."""
        return hash_parts("sa2/v1/offer", self.encode())

    def statement(self) -> bytes:
        template = Writer().list(self.template, lambda w, step: step.write(w)).finish()
        writer = Writer().u16(self.version).u16(self.min_version)
        writer.u8(self.suite).u8(self.profile).u8(self.mode)
        writer.raw(self.federation, 16).raw(self.task, 16).u64(self.epoch)
        writer.raw(self.authority_key_id, 32).raw(self.aggregator.encode(), CERTIFICATE_BYTES)
        writer.u32(self.rounds).u64(self.not_before).u32(self.life_s)
        writer.u32(self.gamma_ppm).u32(self.delta_ppm).u16(self.sigma).u16(self.eta)
        writer.u32(self.a_min_ppm).u32(self.d_ppm).u32(self.least_cohort).u32(self.n_max)
        writer.var(template)
        writer.u32(self.deadlines.setup_s)
        writer.u32(self.deadlines.collect_s).u32(self.deadlines.reveal_s)
        return writer.var(self.revocations.encode()).finish()

    def encode(self) -> bytes:
        return self.statement() + self.signature

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        offer = cls(
            version=reader.u16(),
            min_version=reader.u16(),
            suite=reader.u8(),
            profile=reader.u8(),
            mode=reader.u8(),
            federation=reader.raw(16),
            task=reader.raw(16),
            epoch=reader.u64(),
            authority_key_id=reader.raw(32),
            aggregator=Certificate.decode(reader.raw(CERTIFICATE_BYTES)),
            rounds=reader.u32(),
            not_before=reader.u64(),
            life_s=reader.u32(),
            gamma_ppm=reader.u32(),
            delta_ppm=reader.u32(),
            sigma=reader.u16(),
            eta=reader.u16(),
            a_min_ppm=reader.u32(),
            d_ppm=reader.u32(),
            least_cohort=reader.u32(),
            n_max=reader.u32(),
            template=_template(reader.var(MOST_TEMPLATE_BYTES)),
            deadlines=Deadlines(reader.u32(), reader.u32(), reader.u32()),
            revocations=RevocationList.decode(reader.var(MOST_REVOCATION_BYTES)),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return offer


def _template(raw: bytes) -> tuple[TemplateStep, ...]:
    reader = Reader(raw)
    steps = reader.list(TemplateStep.read, MOST_STEPS)
    reader.end()
    return steps


def _name(raw: bytes) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise MalformedError("the name of an algorithm or step is not UTF-8") from None
    if not name:
        raise MalformedError("the name of an algorithm or step is empty")
    return name
