"""Requests that wait for the authority, and what it decided, as files in one folder.

    enrolment/
      requests/HASH          an encoded EnrolRequest (docs/protocol.md 5.4)
      decisions/HASH         what the authority said to it, an encoded parcel of one decision
      revocations            the newest revocation list (5.7)

Rules:
- the folder is bounded: so many requests in all, fewer from one address, each for some days; who
  comes too late is told to come again, and nobody's request is thrown out for another's;
- files, so that an operator's command reads and answers while the aggregator runs;
- HASH is that of the request (17.11), so that the same request waits once;
- mode 0600; a request holds public keys only, but who wants to enrol is nobody else's business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import ConfigError, PeerProtocolError
from dreamshare.wire.enrol import Decision, Parcel, decode_parcel, encode_parcel
from dreamshare.wire.limits import ENROL_DOWN_LIMIT
from dreamshare_crypto.certificates import RevocationList
from dreamshare_crypto.enrolment_messages import EnrolRequest
from dreamshare_crypto.errors import CryptoError
from dreamshare_crypto.secretfile import replace_private

DAY_S = 86_400.0


class QueueFull(Exception):
    """No more requests are kept now; the text is for who asked."""


@dataclass(frozen=True, slots=True)
class QueueBounds:
    """How much is kept for whom.

    Attributes:
        requests: most that wait, 1 or more.
        from_one_address: most that wait from one address since the start, 1 or more.
        life_s: seconds that a request waits, and that a decision is kept.
    """

    requests: int = 1000
    from_one_address: int = 50
    life_s: float = 14 * DAY_S

    def __post_init__(self) -> None:
        if self.requests < 1 or self.from_one_address < 1 or self.life_s <= 0:
            raise ConfigError("an enrolment queue keeps 1 request or more, for a time above 0")


class RequestQueue:
    """The folder; every method reads or writes files and belongs off the event loop."""

    def __init__(self, folder: Path, bounds: QueueBounds | None = None) -> None:
        """Open or create; raises ConfigError where the folder cannot be written."""
        self._bounds = bounds or QueueBounds()
        self._requests = folder / "requests"
        self._decisions = folder / "decisions"
        self._sources: dict[str, str] = {}  # hash to address, of requests since the start
        self.revocations = folder / "revocations"
        try:
            for place in (self._requests, self._decisions):
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot use the folder {folder}: {error.strerror}") from None

    def put(self, request: EnrolRequest, source: str, now: float) -> Decision | None:
        """Return the decision about a request; where there is none, let the request wait.

        Args:
            request: whose sender proved to hold its key.
            source: the address that it came from.
            now: Unix seconds.

        Raises:
            QueueFull: there is no room; nothing was kept.
            ParameterError: the disk refuses.
        """
        name = request.hash().hex()
        decision = self._decision(self._decisions / name)
        if decision is not None:
            return decision
        place = self._requests / name
        if place.exists():
            return None
        self._make_room(now)
        waiting = {path.name for path in self._requests.iterdir()}
        self._sources = {kept: where for kept, where in self._sources.items() if kept in waiting}
        if len(waiting) >= self._bounds.requests:
            raise QueueFull("too many requests wait for the authority; come again later")
        if Counter(self._sources.values())[source] >= self._bounds.from_one_address:
            raise QueueFull("too many requests of this address wait; come again later")
        self._sources[name] = source
        replace_private(place, request.encode())
        return None

    def waiting(self) -> Iterator[EnrolRequest]:
        """Yield the requests that wait, oldest first."""
        for path in sorted(self._requests.iterdir(), key=_written):
            try:
                yield EnrolRequest.decode(path.read_bytes())
            except (OSError, CryptoError):  # answered meanwhile, or not ours
                continue

    def decide(self, federation: bytes, decision: Decision) -> None:
        """Keep what the authority said, for the party to fetch; raises ParameterError."""
        name = decision.request_hash.hex()
        parcel = Parcel(federation, decisions=(decision,))
        replace_private(self._decisions / name, encode_parcel(parcel))
        (self._requests / name).unlink(missing_ok=True)

    def take_revocations(self, encoded: bytes) -> int:
        """Keep a revocation list where it is newer than the one that is kept; return its number.

        Whether the authority signed it is checked by the aggregator that picks it up.

        Raises:
            ConfigError: it is no revocation list.
            ParameterError: the disk refuses.
        """
        kept = self.revocations.read_bytes() if self.revocations.exists() else b""
        try:
            numbers = [RevocationList.decode(one).number for one in (kept, encoded) if one]
        except CryptoError as error:
            raise ConfigError(f"a revocation list cannot be read: {error}") from None
        if encoded and numbers[-1] == max(numbers):
            replace_private(self.revocations, encoded)
        return max(numbers, default=0)

    def _make_room(self, now: float) -> None:
        """Remove what waited too long, and decisions that nobody fetches any more."""
        for folder in (self._requests, self._decisions):
            for path in folder.iterdir():
                if _written(path) < now - self._bounds.life_s:
                    path.unlink(missing_ok=True)

    def _decision(self, path: Path) -> Decision | None:
        try:
            with path.open("rb") as file:
                return decode_parcel(file.read(ENROL_DOWN_LIMIT)).decisions[0]
        except FileNotFoundError:
            return None
        except (OSError, PeerProtocolError, IndexError):
            raise ConfigError(f"{path} cannot be read; remove it, the device asks again") from None


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
