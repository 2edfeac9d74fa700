"""Which transport an enrolment address wants; each is imported when it is wanted."""

from __future__ import annotations

from dreamshare.errors import ConfigError
from dreamshare.transport.exchange import Door


def door_to(url: str) -> Door:
    """Return the way to an address where enrolments are taken; raises ConfigError."""
    if url.startswith("grpcs://"):
        from dreamshare.transport.grpc_enrol import GrpcDoor

        return GrpcDoor(url)
    raise ConfigError(f"{url!r} is no address where one can enrol, like grpcs://host:7444")
