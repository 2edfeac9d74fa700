"""One evaluation of a registered program: what a device is asked, and what of it is allowed.

A program is a pure function of arguments (they come with a request) and of the device's own data;
its results are summed over devices. What may be wanted of it are groups of arrays, named as the
ports of `dreamshare.learning.onnx.signatures`, each allowed by a transform:

    value      "value"                   the results
    gradient   "vjp"                     J^T cotangents, for some arguments
    pushed     "jvp"                     J tangents
    product    "hvp"                     d (J^T cotangents) / d arguments, along the tangents

Rules:
- a step's name says all that a policy has to know: program, version, groups;
- tangents that are left out are 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.onnx.signatures import DataArray, Transform
from dreamshare.updates import Array

GROUPS = ("value", "gradient", "pushed", "product")

NEEDS: Mapping[str, Transform] = MappingProxyType(
    {"value": "value", "gradient": "vjp", "pushed": "jvp", "product": "hvp"}
)
"""The transform that allows a group."""

MOST_TAPE_S = 3600.0
"""Seconds that a device keeps a value's arguments at most (`learning.tape`)."""

_STEP = re.compile(r"([a-z][a-z0-9_]{0,47}/[1-9][0-9]{0,5}):([a-z+]{1,40})(?::(\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a program, as a step names it.

    Attributes:
        program: name and version.
        groups: of `GROUPS`, in that order, at least one.
        by: number of the set of arguments that gradients and products are for; None without these.
    """

    program: str
    groups: tuple[str, ...]
    by: int | None = None

    def __post_init__(self) -> None:
        ordered = tuple(group for group in GROUPS if group in self.groups)
        if not ordered or ordered != self.groups:
            raise ConfigError(f"program {self.program}: groups are some of {GROUPS}, in order")
        derived = "gradient" in self.groups or "product" in self.groups
        if derived != (self.by is not None):
            raise ConfigError(f"program {self.program}: gradients and products name a set, alone")

    @property
    def step(self) -> str:
        """The step's name, such as "logistic/1:value+gradient:0"."""
        name = f"{self.program}:{'+'.join(self.groups)}"
        return name if self.by is None else f"{name}:{self.by}"

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """What a device has to allow."""
        return tuple(NEEDS[group] for group in self.groups)

    @classmethod
    def parse(cls, step: str) -> Wanted:
        """Return what a step's name says; ConfigError where it is none."""
        found = _STEP.fullmatch(step)
        if found is None:
            raise ConfigError(f"step {step!r:.80} names no program and what is wanted of it")
        program, groups, by = found.groups()
        wanted = cls(program, tuple(groups.split("+")), None if by is None else int(by))
        if wanted.step != step:
            raise ConfigError(f"step {step!r:.80} is not written as {wanted.step!r}")
        return wanted


@dataclass(frozen=True, slots=True)
class ProgramCall:
    """One evaluation.

    Attributes:
        program: name and version.
        groups: of `GROUPS`.
        by: the arguments that gradients and products are wanted for.
        arguments: every argument, by name.
        cotangents: of every result where gradients or products are wanted, else empty.
        tangents: of some arguments where pushes or products are wanted, else empty.
    """

    program: str
    groups: tuple[str, ...]
    by: tuple[str, ...] = ()
    arguments: Mapping[str, Array] = field(default_factory=dict)
    cotangents: Mapping[str, Array] = field(default_factory=dict)
    tangents: Mapping[str, Array] = field(default_factory=dict)


@runtime_checkable
class EvaluatesPrograms(Protocol):
    """A learner that knows programs of its own application or bundle."""

    def evaluate(self, call: ProgramCall, batch: Batch) -> Mapping[str, Array]:
        """Return what is wanted, by port: "value/loss", "gradient/theta"; changes no parameter.

        Args:
            call: what is wanted.
            batch: at least one example.

        Raises:
            ConfigError: no such program or transform here, or arrays that do not fit it.
        """
        ...


def evaluation(learner: object, call: ProgramCall, batch: Batch) -> Mapping[str, Array]:
    """Return what a learner finds; ConfigError where it evaluates no programs, or not this."""
    if not isinstance(learner, EvaluatesPrograms):
        raise ConfigError(f"this device's learner evaluates no programs, so not {call.program}")
    return learner.evaluate(call, batch)


def data_of(
    program: str, declared: Sequence[DataArray], batch: Batch
) -> dict[str, NDArray[np.generic]]:
    """Return a batch as the arrays that a program declares: `x`, the inputs, `y`, the classes.

    Inputs take the declared type and, where the sizes agree, the declared shape of an example.

    Raises:
        ConfigError: another name, inputs of another size, labels that are missing or out of range.
    """
    found: dict[str, NDArray[np.generic]] = {}
    for each in declared:
        given: NDArray[np.generic] | None
        given = {"x": batch.x_NCHW, "y": batch.y_N}.get(each.name)
        if given is None:
            raise ConfigError(
                f"program {program} takes data {each.name!r}; this device's examples have x, and y "
                "where they are labelled"
            )
        sizes = tuple(int(size) for size in each.shape[1:])
        if each.shape[:1] != ("N",) or math.prod(given.shape[1:]) != math.prod(sizes):
            raise ConfigError(
                f"program {program} takes {each.name} of shape {each.shape}; this device's "
                f"examples have {given.shape[1:]} each"
            )
        if each.below and not bool(((given >= 0) & (given < each.below)).all()):
            raise ConfigError(f"program {program}: {each.name} goes beyond 0 to {each.below - 1}")
        shaped = given.reshape(len(given), *sizes)
        found[each.name] = np.ascontiguousarray(shaped, np.dtype(each.dtype))
    return found
