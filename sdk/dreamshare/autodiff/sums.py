"""Every sum that a federation was given, and the rounds that it still takes.

Rules:
- a sum is kept under what it depends on: program, arguments and seed, cotangents and tangents where
  they matter, and its port; it is asked for once, whoever wants it (docs/protocol.md 13.3);
- with a tape a derivative's request names the arguments of its value instead of bringing them,
  while devices still have them (`memory`);
- what is wanted together comes with one question, where the terms have such a step;
- a sum that devices had to clip is wrong, so it is refused unless the caller takes such.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dreamshare.algorithms.autodiff.config import Program
from dreamshare.algorithms.autodiff.requests import taped_of, tensors_of
from dreamshare.algorithms.base import Question
from dreamshare.autodiff.memory import Memory
from dreamshare.autodiff.rounds import Answer, Rounds
from dreamshare.clock import SystemClock
from dreamshare.errors import ConfigError, DreamshareError
from dreamshare.learning.programs import ProgramCall, Wanted
from dreamshare.updates import Array


class Clipped(DreamshareError):
    """Devices had to clip their answers to the bounds of the terms."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a program is evaluated; arrays by name, tangents of some arguments."""

    program: Program
    seed: int
    arguments: Mapping[str, Array]
    cotangents: Mapping[str, Array]
    tangents: Mapping[str, Array]

    def key(self, port: str) -> bytes:
        """Return the digest of all that a port's sum depends on."""
        group = port.partition("/")[0]
        digest = hashlib.sha256(f"{self.program.name}\0{port}\0{self.seed}".encode())
        parts = [("a", self.arguments)]
        if group in ("gradient", "product"):
            parts.append(("c", self.cotangents))
        if group in ("pushed", "product"):
            parts.append(("t", self.tangents))
        for kind, arrays in parts:
            for name in sorted(arrays):
                array = arrays[name]
                digest.update(f"\0{kind}{name}\0{array.dtype.str}{array.shape}\0".encode())
                digest.update(array.tobytes())
        return digest.digest()


@dataclass(frozen=True, slots=True)
class Summed:
    """One port's sum and who is in it."""

    array: Array
    crowd: frozenset[bytes]


Spread = Callable[[Program, Wanted, Question, Answer], None]
"""Told of every round."""


class Sums:
    """See the module's docstring.

    Args:
        rounds: where sums come from.
        clipped: "refuse", or "take" sums that devices had to clip.
        told: hears of every round.
        memory: what devices still have; by default nothing.
    """

    def __init__(
        self, rounds: Rounds, clipped: str, told: Spread, memory: Memory | None = None
    ) -> None:
        if clipped not in ("refuse", "take"):
            raise ConfigError(f"clipped is {clipped!r}; choose 'refuse' or 'take'")
        self._rounds = rounds
        self._clipped = clipped
        self._told = told
        self._memory = memory or Memory(0.0, SystemClock())
        self._kept: dict[bytes, Summed] = {}

    def imagined(self, rounds: Rounds, told: Spread) -> Sums:
        """Return a copy that goes on with other rounds; nothing of it comes back."""
        copy = Sums(rounds, self._clipped, told, self._memory.copy())
        copy._kept = dict(self._kept)
        return copy

    def fetch(self, point: Point, ports: Sequence[str]) -> dict[str, Summed]:
        """Return the sums of these ports; at most one round for each step that they need.

        Raises:
            ConfigError: the terms have no step that gives them.
            Clipped: a bound is too small.
            DreamshareError: a round was not answered.
        """
        keys = {port: point.key(port) for port in ports}
        missing = [port for port, key in keys.items() if key not in self._kept]
        for wanted in steps_for(point.program, missing) if missing else ():
            self._ask(point, wanted)
        return {port: self._kept[key] for port, key in keys.items()}

    def _ask(self, point: Point, wanted: Wanted) -> None:
        program = point.program
        pulls = wanted.by is not None
        pushes = "pushed" in wanted.groups or "product" in wanted.groups
        call = ProgramCall(
            program.name,
            wanted.groups,
            () if wanted.by is None else program.sets[wanted.by],
            point.arguments,
            point.cotangents if pulls else {},
            point.tangents if pushes else {},
        )
        request = taped_of if self._memory.has(call, point.seed) else tensors_of
        question = Question(wanted.step, request(program, call, point.seed))
        began = self._memory.now()
        answer = self._rounds.ask(question)
        self._memory.note(call, point.seed, began)
        self._told(program, wanted, question, answer)
        for field in program.fields(wanted)[:-1]:
            group, _, place = field.name.rpartition("_")
            of = program.results if group in ("value", "pushed") else program.arguments
            port = f"{group}/{of[int(place)].name}"
            # a port that is known keeps its first sum, so that a derivative has one crowd
            self._kept.setdefault(
                point.key(port), Summed(answer.sums[field.name], answer.survivors)
            )
        clipped = round(float(answer.sums["clipped"]))
        if clipped and self._clipped == "refuse":
            raise Clipped(
                f"{clipped} devices had to clip their answers to {wanted.step}: raise the bounds "
                "in the program's terms, or take clipped sums (clipped='take')"
            )


def steps_for(program: Program, ports: Sequence[str]) -> tuple[Wanted, ...]:
    """Return the steps that give these ports: one, or one for each group.

    Raises:
        ConfigError: the terms do not have them.
    """
    groups = tuple(dict.fromkeys(port.partition("/")[0] for port in ports))
    names = {p.partition("/")[2] for p in ports if p.startswith(("gradient/", "product/"))}
    one = _smallest(program, set(groups), names)
    if one is not None:
        return (one,)
    each = [_smallest(program, {group}, _names(ports, group)) for group in groups]
    found = tuple(wanted for wanted in each if wanted is not None)
    if len(found) < len(groups):
        raise ConfigError(
            f"the terms of {program.name} have no step that gives {', '.join(ports)}; its "
            f"transforms are {', '.join(program.transforms)}, its sets of arguments {program.sets}"
        )
    return found


def _names(ports: Sequence[str], group: str) -> set[str]:
    given = {port.partition("/")[2] for port in ports if port.startswith(f"{group}/")}
    return given if group in ("gradient", "product") else set()


def _smallest(program: Program, groups: set[str], names: set[str]) -> Wanted | None:
    """Return the step with these groups that asks for the fewest arguments beside these."""
    fitting = [
        wanted
        for wanted in program.asks()
        if set(wanted.groups) == groups
        and names <= set(() if wanted.by is None else program.sets[wanted.by])
    ]
    sizes = {wanted: sum(f.size for f in program.fields(wanted)) for wanted in fitting}
    return min(fitting, key=lambda wanted: sizes[wanted], default=None)
