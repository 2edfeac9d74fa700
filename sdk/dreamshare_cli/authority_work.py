"""What the holder of an authority does: tokens, requests, revocations.

Rules:
- the authority is locked while it is changed, and saved before anything that it said leaves;
- requests come from the federation's own queue, or in a parcel from an aggregator elsewhere: the
  authority may be on a laptop that is never online;
- what does not hold is refused in words; what holds waits for a person where its token says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dreamshare.clock import Clock, SystemClock
from dreamshare.errors import ConfigError, PeerProtocolError
from dreamshare.wire.enrol import Decision, Parcel, decode_parcel, encode_parcel
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.authority import DAY_S, Authority
from dreamshare_crypto.certificates import RevocationList, Role
from dreamshare_crypto.enrolment import Examined, InvitationTerms, Token, approve, examine
from dreamshare_crypto.enrolment_messages import EnrolRequest
from dreamshare_crypto.entropy import Entropy, SystemEntropy
from dreamshare_crypto.errors import (
    AuthenticationError,
    CryptoError,
    MalformedError,
    ParameterError,
)
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secretfile import replace_private

LEAST_DAYS, MOST_DAYS = 30, 90
"""Life of a certificate, days (docs/protocol.md 17.34)."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A request that waits, as a person sees it.

    Attributes:
        request: as it was sent.
        found: what its sender would become; None where it does not hold.
        problem: why not.
    """

    request: EnrolRequest
    found: Examined | None
    problem: str = ""

    @property
    def fingerprint(self) -> str:
        """What the device shows too."""
        return self.request.fingerprint()

    def is_named_by(self, words: str) -> bool:
        """Whether `words` is the fingerprint, or how it begins (8 digits or more)."""
        digits = words.replace(" ", "").lower()
        return len(digits) >= 8 and self.fingerprint.replace(" ", "").startswith(digits)


class AuthorityWork:
    """An authority's day.

    Args:
        folder: of the federation.
        clock: what time it is.
        entropy: of tokens and serial numbers.
    """

    def __init__(
        self, folder: Path, clock: Clock | None = None, entropy: Entropy | None = None
    ) -> None:
        self.folder = FederationFolder(folder)
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()

    def invite(
        self, role: Role, name: str, endpoints: Sequence[str], terms: InvitationTerms
    ) -> Token:
        """Make a token; it is returned once. ParameterError, ConfigError."""
        with self.folder.locked() as authority:
            now = self._clock.now()
            token = authority.invite(role, name, endpoints, self._entropy, now, terms)
            authority.save(self.folder.authority)
        return token

    def withdraw(self, name: str) -> int:
        """End the unspent tokens of a name; return how many; ConfigError where there is none."""
        with self.folder.locked() as authority:
            ended = authority.withdraw(name)
            authority.save(self.folder.authority)
        if not ended:
            raise ConfigError(
                f"no unspent token was made for {name!r}; see `dreamshare enrol list`"
            )
        return ended

    def inquiries(self, requests: Iterable[EnrolRequest]) -> Iterator[Inquiry]:
        """Yield each request with what would become of it."""
        with self.folder.locked() as authority:
            for request in requests:
                yield self._inquiry(authority, request)

    def approve(
        self, requests: Iterable[EnrolRequest], chosen: Callable[[Inquiry], bool], days: int
    ) -> tuple[Decision, ...]:
        """Decide: certify what was chosen or needs no hand, refuse what does not hold.

        What waits for a hand and was not chosen is left alone.

        Args:
            requests: as they came.
            chosen: whether a person approves this one.
            days: life of the certificates, 30 to 90.

        Raises:
            ConfigError: days out of range, or no federation.
        """
        if not LEAST_DAYS <= days <= MOST_DAYS:
            raise ConfigError(
                f"a certificate lives for {LEAST_DAYS} to {MOST_DAYS} days, not {days}"
            )
        decisions: list[Decision] = []
        with self.folder.locked() as authority:
            for request in requests:
                inquiry = self._inquiry(authority, request)
                digest = request.hash()
                if inquiry.found is None:
                    decisions.append(Decision(digest, b"", inquiry.problem))
                elif not inquiry.found.by_hand or chosen(inquiry):
                    decisions.append(self._certify(authority, request, digest, days))
            authority.save(self.folder.authority)
        return tuple(decisions)

    def revoke(self, who: str) -> RevocationList:
        """Revoke the party with this serial or name; return the new list.

        The list is also put where an aggregator of this federation folder picks it up.

        Raises:
            ConfigError: nobody is called that.
        """
        with self.folder.locked() as authority:
            now = self._clock.now()
            revocations = authority.revoke(_serial(authority, who), now)
            authority.save(self.folder.authority)
        self._publish(revocations)
        return revocations

    def refresh(self) -> RevocationList:
        """Sign the next revocation list, due before the last one is stale; return it."""
        with self.folder.locked() as authority:
            revocations = authority.refresh(self._clock.now())
            authority.save(self.folder.authority)
        self._publish(revocations)
        return revocations

    def parcel(self, decisions: Sequence[Decision]) -> Parcel:
        """Return what goes back to an aggregator elsewhere: decisions and the newest list."""
        authority = self.folder.load_authority()
        revocations = authority.revocations.encode()
        return Parcel(authority.federation, (), tuple(decisions), revocations)

    def _publish(self, revocations: RevocationList) -> None:
        if self.folder.aggregator.exists():  # for an aggregator that is embedded elsewhere
            identity = Identity.load(self.folder.aggregator)
            replace(identity, revocations=revocations).save(self.folder.aggregator)
        self.folder.enrolment.mkdir(mode=0o700, exist_ok=True)
        replace_private(self.folder.enrolment / "revocations", revocations.encode())

    def _inquiry(self, authority: Authority, request: EnrolRequest) -> Inquiry:
        try:
            found = examine(authority, request.encode(), self._clock.now())
        except (AuthenticationError, MalformedError) as error:
            return Inquiry(request, None, str(error))
        return Inquiry(request, found)

    def _certify(
        self, authority: Authority, request: EnrolRequest, digest: bytes, days: int
    ) -> Decision:
        now, life_s = self._clock.now(), days * DAY_S
        try:
            reply = approve(authority, request.encode(), now, self._entropy, life_s)
        except ParameterError as error:
            return Decision(digest, b"", str(error))
        return Decision(digest, reply)


def refusals(requests: Iterable[EnrolRequest], text: str) -> tuple[Decision, ...]:
    """Return decisions that refuse these requests."""
    return tuple(Decision(request.hash(), b"", text) for request in requests)


def read_parcel(path: Path) -> Parcel:
    """Read a parcel's file; raises ConfigError."""
    try:
        return decode_parcel(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except PeerProtocolError as error:
        raise ConfigError(f"{path} holds no requests and no answers: {error}") from None


def write_parcel(path: Path, parcel: Parcel) -> None:
    """Write a parcel's file, mode 0600; raises ConfigError, ParameterError."""
    replace_private(path, encode_parcel(parcel))


def requests_of(parcel: Parcel) -> tuple[EnrolRequest, ...]:
    """Return the requests in a parcel; raises ConfigError where one is none."""
    try:
        return tuple(EnrolRequest.decode(raw) for raw in parcel.requests)
    except CryptoError as error:
        raise ConfigError(f"the file holds what is no request: {error}") from None


def _serial(authority: Authority, who: str) -> int:
    for one in reversed(authority.issued):
        if who in (str(one.certificate.serial), one.name, one.certificate.id.hex()):
            return one.certificate.serial
    raise ConfigError(f"no certificate has the serial or name {who!r}; see `dreamshare enrol list`")
