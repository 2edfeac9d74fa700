"""Which algorithms a demo runs.

Rules: nothing is imported here; the option's values are the names in the result.
"""

from __future__ import annotations

from enum import StrEnum


class AlgorithmChoice(StrEnum):
    """What `--algorithm` takes."""

    MOMENTS = "moments"
    CODREAM = "codream"
    ALL = "all"

    @property
    def names(self) -> tuple[str, ...]:
        """The algorithms to run, in order: a device that is killed is killed in the last one."""
        match self:
            case AlgorithmChoice.ALL:
                return (AlgorithmChoice.MOMENTS.value, AlgorithmChoice.CODREAM.value)
            case _:
                return (self.value,)
