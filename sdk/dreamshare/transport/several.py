"""Several addresses of one aggregator, tried in turn: an active one and those that stand by.

    link = SeveralLinks([GrpcLink("grpcs://one:7443", tls), GrpcLink("grpcs://two:7443", tls)])

Rules:
- one connection at a time; the address that answered last is tried first, so that a fleet stays
  where it is until that one goes away;
- one round through all addresses is one attempt: who calls pauses between attempts, not in them;
- an address that refuses the identity ends the attempt: the others ask the same authority.
"""

from __future__ import annotations

from collections.abc import Sequence

from dreamshare.errors import ConfigError, Unreachable
from dreamshare.transport.base import Connection, Link


class SeveralLinks:
    """A `Link` over others; see the module."""

    def __init__(self, links: Sequence[Link]) -> None:
        """Raises ConfigError where there is none."""
        if not links:
            raise ConfigError("no link is named; name at least one, e.g. 'grpcs://host:7443'")
        self._links = tuple(links)
        self._first = 0

    async def connect(self) -> Connection:
        """Open a connection; raises as the links do, Unreachable where none answers."""
        reasons: list[str] = []
        for turn in range(len(self._links)):
            number = (self._first + turn) % len(self._links)
            try:
                connection = await self._links[number].connect()
            except Unreachable as error:
                reasons.append(str(error))
            else:
                self._first = number
                return connection
        raise Unreachable("; ".join(reasons))

    def __str__(self) -> str:
        return ", ".join(map(str, self._links))
