"""Which arguments devices still have on their tapes, as far as a session knows.

Rules:
- devices keep the arguments of a value from the moment when they got them; the session counts from
  before it asked, and relies on the first half of that time alone, so that a request that is under
  way for long still finds them. Afterwards arguments travel again, as they do without a tape;
- a device that has them no longer, because it was started again or short of memory, refuses the
  derivative and is missing in it: what that means says the policy of dropouts. The derivative is
  not asked for again in full: the two sums would differ by those devices' values.
"""

from __future__ import annotations

from dreamshare.algorithms.autodiff.requests import token_of
from dreamshare.clock import Clock
from dreamshare.learning.programs import ProgramCall

RELIED_ON = 0.5
"""Share of the devices' time for which a session relies on them."""


class Memory:
    """See the module's docstring.

    Args:
        tape_s: seconds for which devices keep arguments; 0: they keep none.
        clock: what time it is.
    """

    def __init__(self, tape_s: float, clock: Clock) -> None:
        self._tape_s = tape_s
        self._clock = clock
        self._until: dict[str, float] = {}

    def copy(self) -> Memory:
        """Return one that goes on from here by itself."""
        copy = Memory(self._tape_s, self._clock)
        copy._until = dict(self._until)
        return copy

    def now(self) -> float:
        """Return what time it is, seconds."""
        return self._clock.now()

    def has(self, call: ProgramCall, seed: int) -> bool:
        """Say whether a request may leave its arguments out."""
        if not self._tape_s or "value" in call.groups:
            return False
        return self._until.get(token_of(call, seed), 0.0) > self.now()

    def note(self, call: ProgramCall, seed: int, began: float) -> None:
        """Note a round that was answered, and when it was asked for."""
        if self._tape_s and "value" in call.groups:
            self._until[token_of(call, seed)] = began + RELIED_ON * self._tape_s
