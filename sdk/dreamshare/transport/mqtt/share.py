"""Which of a federation's topics a listener hears (docs/protocol.md 17.38).

Rules:
- alone it hears every party, by wildcards that its session at the broker keeps while it is away;
- beside seats the root hears requests and states of all, and of the rest its own guests; a seat
  hears its own guests alone. Each of them then subscribes to a party's topics before it admits it;
- what is subscribed by guest is worth nothing later: these sessions begin empty and end with their
  connection, so that the broker tells a death at once.
"""

from __future__ import annotations

from enum import Enum

from dreamshare.transport.mqtt.notes import Topics


class Share(Enum):
    """A listener's part of the parties."""

    WHOLE = "whole"
    ROOT = "root"
    SEAT = "seat"

    def of_all(self, topics: Topics) -> tuple[str, ...]:
        """Return what is heard of every party."""
        match self:
            case Share.WHOLE:
                return (topics.up("+", "+"), topics.state("+"))
            case Share.ROOT:
                return (topics.up("+", "req"), topics.state("+"))
            case Share.SEAT:
                return ()

    def of_guest(self, topics: Topics, party: str) -> tuple[str, ...]:
        """Return what is heard of a party while it is here."""
        talk = (topics.up(party, "blk"), topics.up(party, "rsp"))
        match self:
            case Share.WHOLE:
                return ()
            case Share.ROOT:
                return talk
            case Share.SEAT:
                return (*talk, topics.state(party))
