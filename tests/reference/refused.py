"""Messages that a device must refuse: one honest session, and ways to depart from it.

Device 0 of `BASE` is the one that is lied to. The liar holds the aggregator's keys and may hold
other devices' keys; each case is what device 0 saw before, one message more, and the code of
section 10 that this message must earn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.reference.cast import NOW, Recipe
from tests.reference.finder import Claims
from tests.reference.rounds import Round
from tests.reference.session_vectors import Json
from tests.reference.setup import SetUp

SPEC = Claims(50_000, 100_000, 64, 20, 900_000, 8)
"""Section 16's numbers: n = 10 gives a = 1, t = q = 6, A_min = 9, u_min = 8."""

BASE = Recipe(
    "n10-refusals",
    "the honest session that refused.json departs from",
    10,
    R=3,
    rounds=(0, 1),
    claims=SPEC,
    full=(0,),
)

JOINED = ("offer", "roster", "peer_keys", "deliver")


@dataclass(frozen=True, slots=True)
class Case:
    """What device 0 gets.

    Attributes:
        after: names of the session's messages, or (stage, bytes), in order, all accepted.
        stage, message: what must be refused. Stages are the names of 17.1 in lower case.
        now: when the last message arrives.
        payload: Hb of the plan that comes with a RoundStart; None: the one it names.
        computes: whether the device computes what it is asked; False: its vector is not ready.
        session: which file of vectors `after` names messages of.
        floor: what differs from the default floor of 4.12.
    """

    name: str
    code: str
    stage: str
    message: bytes
    after: Sequence[str | tuple[str, bytes]] = JOINED
    now: int = NOW
    payload: bytes | None = None
    computes: bool = True
    session: str = f"session-{BASE.name}"
    floor: dict[str, list[int]] = field(default_factory=dict)

    def json(self) -> Json:
        before: list[Json] = []
        for item in self.after:
            named = isinstance(item, str)
            before.append(item if named else {"stage": item[0], "message": item[1].hex()})
        out: dict[str, Json] = {
            "name": self.name,
            "code": self.code,
            "session": self.session,
            "device": 0,
            "after": before,
            "stage": self.stage,
            "message": self.message.hex(),
            "now": self.now,
            "computes": self.computes,
        }
        if self.payload is not None:
            out["payload"] = self.payload.hex()
        if self.floor:
            out["floor"] = {name: list[Json](values) for name, values in self.floor.items()}
        return out


def changed(message: bytes, at: int, by: int = 1) -> bytes:
    """The message with one byte changed; negative `at` counts from the end."""
    data = bytearray(message)
    data[at] ^= by
    return bytes(data)


@dataclass(frozen=True, slots=True)
class Stage:
    """The honest session, handy for liars."""

    setup: SetUp
    rounds: tuple[Round, ...]

    @property
    def key(self) -> bytes:
        """The aggregator's signing key."""
        return self.setup.cast.aggregator.ik_secret

    @property
    def sid(self) -> bytes:
        return self.setup.session.sid

    def device_key(self, index: int) -> bytes:
        return self.setup.cast.devices[index].party.ik_secret
