"""What a session of `autodiff/1` may ask: programs, their arrays, and the bounds of every answer.

Rules:
- bounds are public and chosen beforehand: they decide the encoding (docs/protocol.md 12.2);
- derivatives are asked for cotangents and tangents whose largest entry is 1 at most, since they are
  linear in these; the bounds of `gradient`, `pushed` and `product` are for such ones;
- an epoch's offer lists every step, so the sets of arguments that may be wanted are given here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dreamshare.errors import ConfigError
from dreamshare.learning.onnx.signatures import check_name, check_transforms
from dreamshare.learning.programs import MOST_TAPE_S, Wanted
from dreamshare.updates import Field

MOST_STEPS = 64
"""Steps of an offer (docs/protocol.md, section 6)."""

MOST_SIZE = 1 << 26
"""Entries of one array."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An array that comes with a request.

    Attributes:
        name: of the program's argument.
        shape: sizes >= 1; () is one number.
        dtype: "float32" or "float64".
        bound: largest absolute entry that a device takes, > 0.
        gradient: largest absolute entry of a device's gradient, for cotangents of at most 1, > 0.
        product: the same of the gradient's change along tangents of at most 1.
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: str = "float64"
    bound: float = 1e6
    gradient: float = 1.0
    product: float = 1.0

    def __post_init__(self) -> None:
        _check("argument", self.name, self.shape, self.dtype)
        _check_bounds(self.name, self.bound, self.gradient, self.product)


@dataclass(frozen=True, slots=True)
class Result:
    """An array that a device gives; a session returns the sum over devices.

    Attributes:
        name, shape, dtype: as of an argument.
        bound: largest absolute entry of a device's result, > 0.
        pushed: the same of its change along tangents of at most 1.
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: str = "float64"
    bound: float = 1.0
    pushed: float = 1.0

    def __post_init__(self) -> None:
        _check("result", self.name, self.shape, self.dtype)
        _check_bounds(self.name, self.bound, self.pushed)


@dataclass(frozen=True, slots=True)
class Program:
    """The terms of one program; devices have it registered under the same name.

    Attributes:
        name: with its version, such as "logistic/1".
        arguments: in the order in which `fed.sum` takes them.
        results: in the order in which it returns them.
        transforms: what may be asked: "value", "vjp", "jvp", "hvp".
        wanted: sets of arguments that gradients may be wanted of together. None given: all of them,
            and, of up to three arguments, each alone.
        examples: of a device that take part in an evaluation, drawn by its seed; 0: all.
        bits: of the fixed-point encoding, 8 to 20.
    """

    name: str
    arguments: tuple[Argument, ...]
    results: tuple[Result, ...]
    transforms: tuple[str, ...] = ("value", "vjp", "jvp", "hvp")
    wanted: tuple[tuple[str, ...], ...] = ()
    examples: int = 0
    bits: int = 20

    def __post_init__(self) -> None:
        check_name(self.name)
        check_transforms(self.name, self.transforms)
        names = [each.name for each in self.arguments]
        results = [each.name for each in self.results]
        for kind, given in (("arguments", names), ("results", results)):
            if not given or len(set(given)) < len(given):
                raise ConfigError(f"program {self.name} needs {kind}, each of its own name")
        for one in self.wanted:
            if not one or len(set(one)) < len(one) or not set(one) <= set(names):
                raise ConfigError(f"program {self.name}: wanted {one} are no arguments of it")
        if self.examples < 0:
            raise ConfigError(f"program {self.name}: examples is {self.examples}; choose >= 0")

    @property
    def sets(self) -> tuple[tuple[str, ...], ...]:
        """The sets of arguments that may be wanted, by their number."""
        if self.wanted:
            return self.wanted
        every = tuple(each.name for each in self.arguments)
        single = tuple((name,) for name in every) if 1 < len(every) <= 3 else ()
        return (*single, every)

    def asks(self) -> tuple[Wanted, ...]:
        """Return everything that may be wanted of it."""
        has, sets = set(self.transforms), range(len(self.sets))
        every: list[Wanted] = []
        if "value" in has:
            every.append(Wanted(self.name, ("value",)))
        if "vjp" in has:
            every += [Wanted(self.name, ("gradient",), by) for by in sets]
        if {"value", "vjp"} <= has:
            every += [Wanted(self.name, ("value", "gradient"), by) for by in sets]
        if "jvp" in has:
            every.append(Wanted(self.name, ("pushed",)))
        if {"value", "jvp"} <= has:
            every.append(Wanted(self.name, ("value", "pushed")))
        if "hvp" in has:
            every += [Wanted(self.name, ("product",), by) for by in sets]
        if {"jvp", "hvp"} <= has:
            every += [Wanted(self.name, ("pushed", "product"), by) for by in sets]
        return tuple(every)

    def fields(self, wanted: Wanted) -> tuple[Field, ...]:
        """Return what a device answers; raises ConfigError where it is not among `asks`."""
        if wanted not in self.asks():
            raise ConfigError(f"a session of these terms does not ask for {wanted.step}")
        by = () if wanted.by is None else self.sets[wanted.by]
        found: list[Field] = []
        for group in wanted.groups:
            if group in ("value", "pushed"):
                for i, result in enumerate(self.results):
                    bound = result.bound if group == "value" else result.pushed
                    found.append(Field(f"{group}_{i}", result.shape, bound, self.bits))
                continue
            for i, argument in enumerate(self.arguments):
                if argument.name in by:
                    bound = argument.gradient if group == "gradient" else argument.product
                    found.append(Field(f"{group}_{i}", argument.shape, bound, self.bits))
        return (*found, Field("clipped", (), bound=1.0))


@dataclass(frozen=True, slots=True)
class AutodiffConfig:
    """A session.

    Attributes:
        programs: what it may ask for.
        rounds: rounds that it is planned for, >= 1; they size its epochs, and more are possible.
        tape_s: seconds for which devices keep a value's arguments, which its derivatives need not
            bring again then, 0 to 3600; 0: they keep nothing.
    """

    programs: tuple[Program, ...]
    rounds: int = 64
    tape_s: float = 0.0

    def __post_init__(self) -> None:
        names = [program.name for program in self.programs]
        if not names or len(set(names)) < len(names):
            raise ConfigError("a session needs programs, each of its own name")
        steps = sum(len(program.asks()) for program in self.programs)
        if steps > MOST_STEPS:
            raise ConfigError(
                f"these programs may be asked for in {steps} ways, an offer holds {MOST_STEPS}: "
                "name fewer transforms, or the sets of arguments in `wanted`"
            )
        if self.rounds < 1:
            raise ConfigError(f"rounds is {self.rounds}; choose 1 or more")
        if not 0 <= self.tape_s <= MOST_TAPE_S:
            raise ConfigError(f"tape_s is {self.tape_s}; choose 0 to {MOST_TAPE_S:g} seconds")

    def program(self, name: str) -> Program:
        """Return the terms of a program; raises ConfigError where there are none."""
        for program in self.programs:
            if program.name == name:
                return program
        raise ConfigError(f"this session has no program {name!r}")


def _check(kind: str, name: str, shape: Sequence[int], dtype: str) -> None:
    if not name or dtype not in ("float32", "float64"):
        raise ConfigError(f"{kind} {name!r} is {dtype}; it may be float32 or float64")
    if any(size < 1 for size in shape) or len(shape) > 8 or math.prod(shape) > MOST_SIZE:
        raise ConfigError(f"{kind} {name!r} has no valid shape: {tuple(shape)}")


def _check_bounds(name: str, *bounds: float) -> None:
    if not all(math.isfinite(bound) and bound > 0 for bound in bounds):
        raise ConfigError(f"{name}: bounds must be finite and above 0, not {bounds}")
