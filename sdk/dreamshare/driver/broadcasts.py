"""What many devices get at once over relays: sealed and signed once, queued for each (17.32).

Rules:
- a session has a group key of its own; a new session of the task has another;
- large bodies are sealed in the engine; who gets them over a connection of its own gets them as
  they are, signed for it alone.
"""

from __future__ import annotations

from typing import NamedTuple

from dreamshare.driver.offloading import Encoded
from dreamshare.engine import Engine
from dreamshare.ids import EVERYBODY, NO_SESSION, SessionId, TaskId
from dreamshare.protocol.envelope import Address, Signer, stage_of
from dreamshare.protocol.sealing import Group
from dreamshare.wire.bulk import BULK
from dreamshare.wire.codec import frame_parts
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.identity import Identity

_KEY_IDS = 2**16


class Shared(NamedTuple):
    """A frame for a group, and the group whose key opens it."""

    group: Group
    parts: tuple[bytes, bytes]


class Broadcasts:
    """The groups of one aggregator.

    Args:
        identity: the aggregator's.
        entropy: source of keys and salts.
        engine: where large bodies are sealed.
    """

    def __init__(self, identity: Identity, entropy: Entropy, engine: Engine) -> None:
        self._identity = identity
        self._entropy = entropy
        self._engine = engine
        self._groups: dict[TaskId, tuple[SessionId, Group]] = {}
        self._made = 0

    async def seal(self, address: Address, message: Encoded, birth: int) -> Shared | None:
        """Return the frame for all devices of a session; None outside of one.

        Args:
            address: of the message.
            message: what all of them get.
            birth: of the numbers under which a new group begins.
        """
        if address.session == NO_SESSION:
            return None
        group = self._group(address, birth)
        header = Signer(self._identity, EVERYBODY, birth).draft(address, stage_of(message.message))
        if len(message.body) < BULK:
            frame = group.frame(header, message.body)
        else:
            frame = await self._engine.run(lambda: group.frame(header, message.body))
        return Shared(group, frame_parts(frame))

    def forget(self, task: TaskId) -> None:
        """A task is over: its key is dropped."""
        self._groups.pop(task, None)

    def _group(self, address: Address, birth: int) -> Group:
        known = self._groups.get(address.task)
        if known is not None and known[0] == address.session:
            return known[1]
        self._made += 1
        group = Group(self._identity, 1 + self._made % (_KEY_IDS - 1), birth, self._entropy)
        self._groups[address.task] = (address.session, group)
        return group
