"""A party's certificate: asked for with a token, or again, over a network or by file.

    IDENTITY.pending       keys and request, while the authority has not answered

Rules:
- the request is written down before it is sent and kept until the identity is: whatever is killed,
  the same bytes are asked again and get the same answer (docs/protocol.md 5.4);
- an answer is believed where `accept` says so, whoever brought it;
- a renewal keeps the party's keys and id, and changes the transport's (5.6).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dreamshare.clock import Clock, SystemClock
from dreamshare.driver.enrolling import ask
from dreamshare.errors import ConfigError, Rejected
from dreamshare.transport.exchange import Door
from dreamshare_crypto.enrolment import EnrolRequest, Pending, Token, accept, renew, request
from dreamshare_crypto.enrolment_token import NO_TOKEN
from dreamshare_crypto.entropy import Entropy, SystemEntropy
from dreamshare_crypto.errors import AuthenticationError, MalformedError
from dreamshare_crypto.identity import Identity
from dreamshare_edge.keystore import load_pending, save_identity, save_pending

Tell = Callable[[str], None]
"""Told, in words, why there is no certificate yet."""


@dataclass(frozen=True, slots=True)
class Applicant:
    """Where a party keeps its identity, and what it is handed.

    Attributes:
        path: of the identity's file.
        clock: what time it is.
        entropy: of keys and nonces.
    """

    path: Path
    clock: Clock = field(default_factory=SystemClock)
    entropy: Entropy = field(default_factory=SystemEntropy)

    @property
    def pending_path(self) -> Path:
        """Where keys and request are while there is no answer."""
        return self.path.with_name(f"{self.path.name}.pending")

    def with_token(self, token: Token) -> Pending:
        """Return keys and request for this token: those of an earlier run, or new ones.

        Raises:
            ConfigError: the token expired.
            ParameterError: the file cannot be read or written.
        """
        pending = self.stored()
        if pending is not None and _token_of(pending) == token.token_id:
            return pending  # perhaps answered already: then the answer outlives the token
        if self.clock.now() > token.expiry:
            when = datetime.fromtimestamp(token.expiry, UTC).strftime("%Y-%m-%d %H:%M")
            raise ConfigError(f"the token expired at {when} UTC; ask the operator for a new one")
        pending = request(token, self.entropy)
        save_pending(self.pending_path, pending, self.path, self.entropy)
        return pending

    def renewal(self, identity: Identity) -> Pending:
        """Return the request that renews `identity`: that of an earlier run, or a new one."""
        pending = self.stored()
        if pending is None or _token_of(pending) != NO_TOKEN:
            pending = renew(identity, self.entropy)
            save_pending(self.pending_path, pending, self.path, self.entropy)
        return pending

    def stored(self) -> Pending | None:
        """Return what waits for an answer, or None; ParameterError where it is damaged."""
        return load_pending(self.pending_path) if self.pending_path.exists() else None

    async def certified(
        self, pending: Pending, doors: Sequence[Door], roots_pem: bytes, tell: Tell
    ) -> Identity:
        """Ask until the authority has answered; return the identity, not saved yet.

        Raises:
            Rejected: the authority does not certify this, or the answer does not hold.
        """
        rng = random.Random(self.entropy.draw(16))  # jitter of waits; decides nothing else
        reply = await ask(doors, roots_pem, pending.message, self.clock, rng, tell)
        return self.accepted(pending, reply)

    def accepted(self, pending: Pending, reply: bytes) -> Identity:
        """Check an answer; return the identity, not saved yet; raises Rejected."""
        try:
            return accept(pending, reply, self.clock.now())
        except (AuthenticationError, MalformedError) as error:
            raise Rejected(f"the answer to the enrolment does not hold: {error}") from None

    def save(self, identity: Identity) -> None:
        """Keep the identity; what was pending is over. ParameterError where the disk refuses."""
        save_identity(self.path, identity, self.entropy)
        self.pending_path.unlink(missing_ok=True)


def fingerprint_of(pending: Pending) -> str:
    """Return what people compare before they approve."""
    return EnrolRequest.decode(pending.message).fingerprint()


def _token_of(pending: Pending) -> bytes:
    return EnrolRequest.decode(pending.message).token_id
