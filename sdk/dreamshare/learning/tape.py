"""What a device keeps of an evaluation until its derivatives are asked for: its public arguments.

    tape = Tape(SystemClock())
    tape.keep(token, arrays, seconds=600.0)
    tape.find(token)                        # ConfigError once they are gone

Rules:
- it is in memory alone: a device that was started again has an empty one;
- what is kept is what a request brought, under the digest of it, so that nothing can be put in the
  place of something else; no graph and nothing of the device's data is kept;
- what has not been asked for longest goes first when there is too much; what is gone is an error,
  never a derivative at other arguments.
"""

from __future__ import annotations

from collections.abc import Mapping

from dreamshare.clock import Clock
from dreamshare.errors import ConfigError
from dreamshare.learning.programs import MOST_TAPE_S
from dreamshare.updates import PublicArray

MOST_BYTES = 64 << 20
"""Of all arrays together that a device keeps."""


class Tape:
    """See the module's docstring.

    Args:
        clock: what time it is.
        most_bytes: of all arrays together, >= 0; 0 keeps nothing.
        most_s: seconds that anything is kept for, >= 0.
    """

    def __init__(
        self, clock: Clock, most_bytes: int = MOST_BYTES, most_s: float = MOST_TAPE_S
    ) -> None:
        if most_bytes < 0 or not most_s >= 0:
            raise ConfigError(f"most_bytes is {most_bytes}, most_s {most_s}; they are 0 or more")
        self._clock = clock
        self._most_bytes = most_bytes
        self._most_s = most_s
        self._kept: dict[bytes, tuple[float, Mapping[str, PublicArray]]] = {}

    def keep(self, token: bytes, arrays: Mapping[str, PublicArray], seconds: float) -> None:
        """Keep arrays for so many seconds, or as long as there is room."""
        self._forget()
        self._kept.pop(token, None)
        self._kept[token] = (self._clock.now() + min(seconds, self._most_s), arrays)
        while self._kept and sum(map(_bytes, self._kept.values())) > self._most_bytes:
            del self._kept[next(iter(self._kept))]

    def find(self, token: bytes) -> Mapping[str, PublicArray]:
        """Return what was kept; raises ConfigError where it is gone."""
        self._forget()
        found = self._kept.pop(token, None)
        if found is None:
            raise ConfigError(
                "the arguments that this derivative's value was computed of are gone from this "
                "device: its tape was too short or too small, or it was started again; ask for the "
                "value of other arguments, or open the session without a tape"
            )
        self._kept[token] = found
        return found[1]

    def _forget(self) -> None:
        now = self._clock.now()
        self._kept = {token: kept for token, kept in self._kept.items() if kept[0] > now}


def _bytes(kept: tuple[float, Mapping[str, PublicArray]]) -> int:
    return sum(array.nbytes for array in kept[1].values())
