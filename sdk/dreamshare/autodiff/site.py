"""One place in a computation where devices are summed: a program, and what its value's crowd was.

Rules:
- arrays leave and enter here as numpy, detached; the nodes above know tensors alone, all of them on
  the device of a program's first argument;
- cotangents and tangents are scaled by a power of two to at most 1 before they travel, and the sums
  are scaled back: derivatives are linear in them, and the scaling is exact;
- the value of one loss is asked for together with its gradient, whose cotangent is known to be 1
  (the eager cotangent): any other cotangent is a multiple of it;
- a derivative of zeros is zeros, without a round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dreamshare.algorithms.autodiff.config import Argument, Program, Result
from dreamshare.autodiff import dropouts
from dreamshare.autodiff.sums import Point, Summed, Sums
from dreamshare.errors import ConfigError
from dreamshare.updates import Array

Tensors = Sequence[Tensor]


@dataclass(slots=True)
class Site:
    """See the module's docstring.

    Attributes:
        sums: what was summed.
        program: its terms.
        seed: of the examples.
        policy: of dropouts.
        eager: arguments whose gradients come along with the value.
        along: tangents that come along with the value, by name.
        crowd: who is in the value; None before it was summed.
    """

    sums: Sums
    program: Program
    seed: int
    policy: str
    eager: tuple[str, ...] = ()
    along: Mapping[str, Tensor] = field(default_factory=dict)
    crowd: frozenset[bytes] | None = None

    def names(self, wanted: Sequence[bool]) -> tuple[str, ...]:
        """Return the names of the arguments that are wanted."""
        pairs = zip(self.program.arguments, wanted, strict=True)
        return tuple(argument.name for argument, is_wanted in pairs if is_wanted)

    def value(self, arguments: Tensors) -> tuple[Tensor, ...]:
        """Return the summed results."""
        ports = [f"value/{result.name}" for result in self.program.results]
        cotangents: dict[str, Array] = {}
        tangents: dict[str, Array] = {}
        if self.along:
            tangents, _ = self._tangents(tuple(self.along), tuple(self.along.values()))
            if tangents:
                ports += [f"pushed/{result.name}" for result in self.program.results]
        elif self.eager:
            (result,) = self.program.results
            cotangents = {result.name: np.ones((), np.dtype(result.dtype))}
            ports += [f"gradient/{name}" for name in self.eager]
        found = self._fetch(arguments, cotangents, tangents, ports)
        self.crowd = found[ports[0]].crowd
        place = arguments[0].device
        return tuple(
            self._tensor(found[f"value/{r.name}"], r, 1.0).to(place) for r in self.program.results
        )

    def pull(
        self, arguments: Tensors, cotangents: Tensors, by: Sequence[str]
    ) -> tuple[Tensor, ...]:
        """Return J^T cotangents for the arguments `by`."""
        given, scale = self._cotangents(cotangents)
        return self._derived("gradient", self._by(by), arguments, given, {}, scale)

    def push(
        self, arguments: Tensors, along: Sequence[str], tangents: Tensors
    ) -> tuple[Tensor, ...]:
        """Return J tangents."""
        given, scale = self._tangents(along, tangents)
        return self._derived("pushed", self.program.results, arguments, {}, given, scale)

    def curve(
        self,
        arguments: Tensors,
        cotangents: Tensors,
        along: Sequence[str],
        tangents: Tensors,
        by: Sequence[str],
    ) -> tuple[Tensor, ...]:
        """Return d (J^T cotangents) / d `by`, along the tangents."""
        pulls, by_cotangent = self._cotangents(cotangents)
        pushes, by_tangent = self._tangents(along, tangents)
        scale = by_cotangent * by_tangent
        return self._derived("product", self._by(by), arguments, pulls, pushes, scale)

    def both(
        self,
        arguments: Tensors,
        cotangents: Tensors,
        along: Sequence[str],
        tangents: Tensors,
        by: Sequence[str],
    ) -> None:
        """Ask for `push` and `curve` in one round; they are kept for the calls that follow."""
        pulls, by_cotangent = self._cotangents(cotangents)
        pushes, by_tangent = self._tangents(along, tangents)
        if by_cotangent and by_tangent and by:
            ports = [f"pushed/{result.name}" for result in self.program.results]
            ports += [f"product/{name}" for name in by]
            self._fetch(arguments, pulls, pushes, ports)

    # ---- how it gets there -----------------------------------------------------------------------

    def _by(self, names: Sequence[str]) -> tuple[Argument, ...]:
        return tuple(each for each in self.program.arguments if each.name in names)

    def _derived(
        self,
        group: str,
        of: Sequence[Argument | Result],
        arguments: Tensors,
        cotangents: Mapping[str, Array],
        tangents: Mapping[str, Array],
        scale: float,
    ) -> tuple[Tensor, ...]:
        place = arguments[0].device
        if not scale:
            return tuple(
                torch.zeros(e.shape, dtype=getattr(torch, e.dtype), device=place) for e in of
            )
        ports = [f"{group}/{each.name}" for each in of]
        found = self._fetch(arguments, cotangents, tangents, ports)
        return tuple(
            self._tensor(found[port], each, scale).to(place)
            for port, each in zip(ports, of, strict=True)
        )

    def _fetch(
        self,
        arguments: Tensors,
        cotangents: Mapping[str, Array],
        tangents: Mapping[str, Array],
        ports: Sequence[str],
    ) -> dict[str, Summed]:
        declared = self.program.arguments
        given = {e.name: _array(t, e) for e, t in zip(declared, arguments, strict=True)}
        point = Point(self.program, self.seed, given, cotangents, tangents)
        return self.sums.fetch(point, ports)

    def _tensor(self, summed: Summed, like: Argument | Result, scale: float) -> Tensor:
        if self.crowd is None:
            self.crowd = summed.crowd
        scale *= dropouts.factor(self.policy, self.crowd, summed.crowd)
        return torch.tensor(summed.array * scale, dtype=getattr(torch, like.dtype))

    def _cotangents(self, given: Tensors) -> tuple[dict[str, Array], float]:
        """Return cotangents of at most 1 and what they are to be multiplied with; 0: all zeros."""
        results = self.program.results
        arrays = {r.name: _array(t, r) for r, t in zip(results, given, strict=True)}
        if len(results) == 1 and not results[0].shape:
            (name,) = arrays
            return {name: np.ones_like(arrays[name])}, float(arrays[name])
        return _scaled(arrays)

    def _tangents(self, names: Sequence[str], given: Tensors) -> tuple[dict[str, Array], float]:
        """Return tangents of at most 1, without those that are zeros, and their scale as above."""
        declared = {each.name: each for each in self.program.arguments}
        arrays = {name: _array(t, declared[name]) for name, t in zip(names, given, strict=True)}
        return _scaled({name: array for name, array in arrays.items() if array.any()})


def _array(tensor: Tensor, like: Argument | Result) -> Array:
    """Return a tensor as the array that travels; raises ConfigError where it does not fit."""
    if tuple(tensor.shape) != like.shape:
        raise ConfigError(
            f"{like.name} has shape {tuple(tensor.shape)}; the terms say {like.shape}"
        )
    array: Array = np.array(tensor.detach().cpu().numpy(), dtype=like.dtype, order="C")
    if not np.isfinite(array).all():
        raise ConfigError(f"{like.name}, or a derivative along it, is not finite")
    return array


def _scaled(arrays: Mapping[str, Array]) -> tuple[dict[str, Array], float]:
    most = max((float(np.abs(array).max()) for array in arrays.values()), default=0.0)
    if not most:
        return {}, 0.0
    scale = 2.0 ** math.ceil(math.log2(most))
    return {name: array / array.dtype.type(scale) for name, array in arrays.items()}, scale
