"""Per-round secrets at rest, sealed so that closed rounds stay closed (docs/protocol.md 9.3).

Rules:
- round r's secrets are sealed under w_r, which follows from the chain value c_r; c_{r+1} is a hash
  of c_r, so whoever holds the newest chain value can open no earlier round;
- only the newest chain value is stored, in one key slot that is overwritten in place;
- a vault only moves forward. Opening needs the chain to stand at the round or before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from dreamshare_crypto.aead import NONCE_BYTES, open_box, seal
from dreamshare_crypto.errors import MalformedError, ParameterError
from dreamshare_crypto.kdf import derive, hash_parts, lp
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import OUTSIDE
from dreamshare_crypto.transcript import Reader, Writer

CHAIN_BYTES = 32
CHAIN_SLOT = "chain"
"""The key slot that holds the newest chain value and the round it belongs to."""

_ONCE = bytes(NONCE_BYTES)  # each w_r seals exactly one plaintext


@dataclass(frozen=True, slots=True)
class RoundSecrets:
    """What a device keeps for one round.

    Attributes:
        p, s: its own two secrets, 32 bytes each.
        shares: dealer's roster index -> (p-share, s-share), 32 bytes each; its own p-share empty,
            because a dealer never reveals it (4.3).
    """

    p: Secret
    s: Secret
    shares: Mapping[int, tuple[bytes, bytes]] = field(repr=False)

    def encode(self) -> Secret:
        """Return the bytes that are sealed."""
        writer = Writer().raw(self.p.reveal(), 32).raw(self.s.reveal(), 32).u32(len(self.shares))
        for dealer, (p_share, s_share) in sorted(self.shares.items()):
            writer.u32(dealer).var(p_share).raw(s_share, 32)
        return Secret(writer.finish(), "round secrets")

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        reader = Reader(raw)
        p, s = Secret(reader.raw(32), "p"), Secret(reader.raw(32), "s")
        shares = {reader.u32(): (reader.var(32), reader.raw(32)) for _ in range(reader.u32())}
        reader.end()
        secrets = cls(p=p, s=s, shares=shares)
        if secrets.encode().reveal() != raw:
            raise MalformedError("shares of a round are not in their dealers' order, each once")
        return secrets


@dataclass(frozen=True, slots=True)
class Vault:
    """The sealed secrets of all rounds and the newest chain value.

    Attributes:
        session: sid.
        sealed: one ciphertext per round.
        position: the round that `chain` belongs to; earlier ones cannot be opened any more. Equals
            the number of rounds once the last is over.
        chain: c_position.
    """

    session: bytes
    sealed: tuple[bytes, ...]
    position: int
    chain: Secret

    @classmethod
    def create(cls, session: bytes, chain: Secret, rounds: Sequence[RoundSecrets]) -> Self:
        """Seal every round's secrets under the chain that starts at `chain` (c_0)."""
        sealed, link = [], chain
        for r, secrets in enumerate(rounds):
            plaintext, key = secrets.encode().reveal(), _wrap_key(link, session)
            sealed.append(seal(key, _ONCE, plaintext, _place(session, r), OUTSIDE))
            link = _next(link, session)
        return cls(session=session, sealed=tuple(sealed), position=0, chain=chain)

    def advance(self, r: int) -> Self:
        """Return the vault that can open round `r` and later ones, and none before.

        Raises:
            ParameterError: the chain is already past `r`.
        """
        if not self.position <= r <= len(self.sealed):
            raise ParameterError(f"the chain stands at round {self.position}, not before {r}")
        link = self.chain
        for _ in range(self.position, r):
            link = _next(link, self.session)
        return replace(self, position=r, chain=link)

    def open(self, r: int) -> RoundSecrets:
        """Return round `r`'s secrets.

        Raises:
            ParameterError: the chain is already past `r`.
            AuthenticationError: the stored ciphertext is not what was sealed.
        """
        key = _wrap_key(self.advance(r).chain, self.session)
        plaintext = open_box(key, _ONCE, self.sealed[r], _place(self.session, r), OUTSIDE)
        return RoundSecrets.decode(plaintext)

    def slot(self) -> Secret:
        """Return what the key slot holds: position and chain value."""
        return Secret(Writer().u32(self.position).raw(self.chain.reveal()).finish(), "chain")

    @classmethod
    def restore(cls, session: bytes, sealed: tuple[bytes, ...], slot: Secret) -> Self:
        """Return the vault whose chain value a key slot kept.

        Raises:
            MalformedError: the slot holds something else.
            AuthenticationError: the slot holds another session's chain.
        """
        reader = Reader(slot.reveal())
        position, chain = reader.u32(), Secret(reader.raw(CHAIN_BYTES), "chain")
        reader.end()
        if position > len(sealed):
            raise MalformedError("the chain stands behind the last round of the session")
        vault = cls(session=session, sealed=sealed, position=position, chain=chain)
        if position < len(sealed):
            vault.open(position)
        return vault


def _wrap_key(chain: Secret, session: bytes) -> Secret:
    return derive(chain, session, 32, "sa2/v1/wrap")


def _next(chain: Secret, session: bytes) -> Secret:
    return Secret(hash_parts("sa2/v1/chain", session, chain.reveal()), "chain")


def _place(session: bytes, r: int) -> bytes:
    return lp(session, r.to_bytes(4, "little"))
