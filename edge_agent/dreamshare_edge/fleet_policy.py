"""The policy of whoever owns a fleet: signed, versioned, never looser than the device's own.

    {"format": "dreamshare-policy/1", "federation": "…", "version": 3,
     "policy": "least_cohort = 8", "signature": "…"}

The signature (docs/protocol.md 17.37) is the federation's authority's, or that of a policy key
which the device's settings name.

Rules:
- the owner's policy, in the device's settings, is the floor: the fleet's may only tighten it;
- the newest version that was accepted is kept in the device's store and stays in force, also where
  the file is gone; an older one, or another one of the same version, is refused;
- a file that does not hold ends the start: the agent does not guess which policy was meant.
"""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from dreamshare.errors import ConfigError
from dreamshare.settings import read_settings
from dreamshare_crypto.errors import AuthenticationError, ParameterError
from dreamshare_crypto.kdf import lp
from dreamshare_crypto.keys import SIGNATURE_BYTES, IdentityKey, verify_signature
from dreamshare_edge.policy import Policy
from dreamshare_edge.tightening import looser, tightened

_LOG = logging.getLogger(__name__)
FORMAT = "dreamshare-policy/1"
LABEL = "sa2/v1/fleet-policy"
KEPT = "fleet-policy"
MOST_BYTES = 65_536
"""Largest policy file."""

_LAST_VERSION = 2**63 - 1


class PolicyRefused(ConfigError):
    """A fleet's policy that this device does not take; the text says why."""


class Kept(Protocol):
    """Where the newest accepted policy is kept: a device's store."""

    def load(self, name: str) -> bytes | None:
        """Return what was kept under this name, or None."""
        ...

    def save(self, name: str, content: bytes) -> None:
        """Keep it durably; raises OSError."""
        ...


@dataclass(frozen=True, slots=True)
class FleetPolicy:
    """A policy as its owner signed it.

    Attributes:
        federation: that it is for, 16 bytes.
        version: 1 or more; a device goes up and never down.
        text: clauses as in the table [policy] of a device's settings, TOML; what it does not name
            is the device's own affair.
        signature: see the module.

    Raises:
        PolicyRefused: the version is out of range, or the text is no policy.
    """

    federation: bytes
    version: int
    text: str
    signature: bytes = b""

    def __post_init__(self) -> None:
        if not 1 <= self.version <= _LAST_VERSION:
            raise PolicyRefused(
                f"the fleet policy's version is {self.version}; it must be 1 or more"
            )
        try:
            read_settings(Policy, self.text, source="the fleet policy")
        except ConfigError as error:
            raise PolicyRefused(str(error)) from None

    @property
    def policy(self) -> Policy:
        """What it says, with defaults where it says nothing."""
        return read_settings(Policy, self.text, source="the fleet policy")

    @property
    def named(self) -> frozenset[str]:
        """The clauses that it names."""
        return frozenset(tomllib.loads(self.text))

    def signed(self, sign: Callable[[bytes], bytes]) -> FleetPolicy:
        """Return it signed: by `Authority.sign_policy`, or by `signer` of a policy key."""
        return replace(self, signature=sign(self._statement()))

    def verify(self, federation: bytes, keys: tuple[bytes, ...]) -> None:
        """Return where one of these keys signed it for this federation; raises PolicyRefused."""
        if self.federation != federation:
            raise PolicyRefused("the fleet policy is another federation's")
        for key in keys:
            try:
                verify_signature(key, LABEL, self._statement(), self.signature)
            except (AuthenticationError, ParameterError):
                continue
            return
        raise PolicyRefused(
            "the fleet policy is signed by neither the federation's authority nor the policy_key "
            "of this device's settings"
        )

    def encode(self) -> bytes:
        """Return the file's content."""
        fields = {
            "format": FORMAT,
            "federation": self.federation.hex(),
            "version": self.version,
            "policy": self.text,
            "signature": self.signature.hex(),
        }
        return json.dumps(fields, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, raw: bytes) -> FleetPolicy:
        """Read a file's content; raises PolicyRefused on anything else."""
        if len(raw) > MOST_BYTES:
            raise PolicyRefused(f"the fleet policy is longer than {MOST_BYTES} bytes")
        try:
            fields = json.loads(raw)
            if fields.keys() != {"format", "federation", "version", "policy", "signature"}:
                raise ValueError("its fields are not those of the format")
            if fields["format"] != FORMAT or type(fields["version"]) is not int:
                raise ValueError(f"it is not {FORMAT}")
            if not isinstance(fields["policy"], str):
                raise ValueError("its policy is not text")
            federation = bytes.fromhex(fields["federation"])
            signature = bytes.fromhex(fields["signature"])
            if len(federation) != 16 or len(signature) != SIGNATURE_BYTES:
                raise ValueError("its federation or signature has another length")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise PolicyRefused(f"this is not a signed fleet policy: {error}") from None
        return cls(federation, fields["version"], fields["policy"], signature)

    def _statement(self) -> bytes:
        return lp(self.federation, self.version.to_bytes(8, "big"), self.text.encode())


@dataclass(frozen=True, slots=True)
class Signers:
    """Whose fleet policies a device takes: its federation's, by these public keys."""

    federation: bytes
    keys: tuple[bytes, ...]


def in_force(owner: Policy, signers: Signers, kept: Kept, file: Path | None) -> Policy:
    """Return the owner's policy, tightened by the newest fleet policy; the newest is kept.

    Args:
        owner: the floor.
        signers: whose policies count.
        kept: the device's store.
        file: where a fleet's policy arrives; None or absent: the one that is kept, if any.

    Raises:
        PolicyRefused: the file is forged, damaged, an older version, or another one of the same
            version; or together they allow nothing.
        OSError: it cannot be kept.
    """
    held = accepted(signers, kept)
    found = arrived(signers, held, file)
    if found is not None and found != held:
        tightened(owner, found.policy, found.named)  # raises before it is kept
        kept.save(KEPT, found.encode())
        _LOG.info("the fleet's policy is version %d now", found.version)
    fleet = found or held
    if fleet is None:
        return owner
    for clause in looser(owner, fleet.policy, fleet.named):
        _LOG.info("the fleet's policy is looser on %s; the owner's stands", clause)
    return tightened(owner, fleet.policy, fleet.named)


def arrived(signers: Signers, held: FleetPolicy | None, file: Path | None) -> FleetPolicy | None:
    """Return the verified policy of `file`, None without one; raises PolicyRefused as above."""
    if file is None or not file.exists():
        return None
    try:
        with file.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise PolicyRefused(f"cannot read the fleet policy {file}: {error.strerror}") from None
    found = FleetPolicy.decode(raw)
    found.verify(signers.federation, signers.keys)
    if held is not None and found.version < held.version:
        raise PolicyRefused(
            f"the fleet policy {file} is version {found.version}, and version {held.version} was "
            "accepted before; put the newer one back"
        )
    same = held is not None and found.version == held.version
    if held is not None and same and (found.text, found.federation) != (held.text, held.federation):
        raise PolicyRefused(
            f"the fleet policy {file} is another version {found.version} than the one that was "
            "accepted before; its owner signs changes with a higher version"
        )
    return found


def accepted(signers: Signers, kept: Kept) -> FleetPolicy | None:
    """Return the newest policy that this device accepted, None where there was none."""
    raw = kept.load(KEPT)
    if raw is None:
        return None
    held = FleetPolicy.decode(raw)  # verified when it was accepted, perhaps by a former key
    return held if held.federation == signers.federation else None


def signer(key: IdentityKey) -> Callable[[bytes], bytes]:
    """Return what signs fleet policies with this key."""

    def sign(body: bytes) -> bytes:
        return key.sign(LABEL, body)

    return sign
