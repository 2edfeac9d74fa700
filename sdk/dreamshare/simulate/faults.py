"""What goes wrong on a virtual device: it vanishes amid the protocol, or answers rubbish.

The machine is the real one. One that is to die says nothing from the moment on at which it would
have sent a certain message: what it had sent before stands, as after a battery's end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dreamshare.protocol.events import ParticipantEffect, ParticipantInput, Send
from dreamshare.protocol.messages import Sa2
from dreamshare.protocol.participant import Participant
from dreamshare.simulate.values import Corruption, LossStage
from dreamshare.updates import Field, Update


class Mortal(Participant):
    """A participant that may die."""

    _stage: LossStage = ""

    def dies(self, stage: LossStage, death: Callable[[], None]) -> None:
        """Have it die instead of sending a message of this stage; `death` is called then."""
        self._stage, self._death = stage, death

    def handle(self, event: ParticipantInput, now: float) -> tuple[ParticipantEffect, ...]:
        effects = super().handle(event, now)
        if self._stage and any(_sends(effect, self._stage) for effect in effects):
            self._death()
            return ()
        return effects


def _sends(effect: ParticipantEffect, stage: LossStage) -> bool:
    match effect:
        case Send(Sa2(sent, _)):
            return sent.name.lower() == stage
        case _:
            return False


def corrupted(
    update: Update, fields: Sequence[Field], how: Corruption, rng: np.random.Generator
) -> Update:
    """Return what a corrupt device answers instead."""
    match how:
        case "":
            return update
        case "flipped":
            return Update({name: -array for name, array in update.arrays.items()}, update.weight)
        case "random":
            drawn = {f.name: rng.uniform(-f.bound, f.bound, f.shape) for f in fields}
            return Update(drawn, update.weight)
