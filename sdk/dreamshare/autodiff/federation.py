"""The object that a client computes with: torch functions whose sums run over devices.

    total = fed.sum(PROGRAM, theta)                   # a round
    loss = fed.mean(PROGRAM, theta)
    loss.backward()                                   # a round, or none: the eager cotangent
    value, slope = fed.value_and_grad(lambda t: fed.mean(PROGRAM, t))(theta)
    print(fed.explain(lambda t: fed.grad(f)(t), theta))      # before anything is sent

Rules:
- a sum blocks its caller until the round is closed; what goes wrong is an error there, inside
  `backward`, too: a derivative is never silently 0;
- a mean is over the devices of its own sum; a weighted one takes both sums from one round;
- nothing is asked twice (`sums`), and every round is in `ledger`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad

from dreamshare.algorithms.autodiff.config import AutodiffConfig, Program
from dreamshare.autodiff import dropouts as policies
from dreamshare.autodiff.costs import Explanation, Ledger, RoundCost, Tracing
from dreamshare.autodiff.memory import Memory
from dreamshare.autodiff.nodes import value
from dreamshare.autodiff.rounds import Rounds
from dreamshare.autodiff.site import Site
from dreamshare.autodiff.sums import Sums
from dreamshare.autodiff.traffic import Scales
from dreamshare.clock import Clock, SystemClock
from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import Cohort

Found = Tensor | tuple[Tensor, ...]
Scalar = Callable[..., Found]
"""Of tensors, one number: what is differentiated."""


@dataclass(frozen=True, slots=True)
class Broadcast:
    """A tensor on its way to every device."""

    tensor: Tensor


@dataclass(frozen=True, slots=True)
class Mapped:
    """A program's results, one for each device, until they are summed; nobody sees one alone."""

    program: Program
    tensors: tuple[Tensor, ...]


class Federation:
    """See the module's docstring.

    Args:
        rounds: where sums come from.
        config: the session's terms.
        cohort: who takes part.
        dropouts: what becomes of a derivative that devices have left: see
            `dreamshare.autodiff.dropouts`.
        clipped: "refuse", or "take" sums that devices had to clip to their bounds.
        eager: ask for the gradient of a single loss together with its value.
        seed: of the examples that devices draw, >= 0.
        scales: weigh the session's messages; by default, those of a task with default deadlines.
        clock: times what devices keep, where the config asks for a tape.

    Raises:
        ConfigError: an unknown policy; a program that is not among the terms.
    """

    def __init__(
        self,
        rounds: Rounds,
        config: AutodiffConfig,
        cohort: Cohort,
        *,
        dropouts: str = "rescale",
        clipped: str = "refuse",
        eager: bool = True,
        seed: int = 0,
        scales: Scales | None = None,
        clock: Clock | None = None,
    ) -> None:
        policies.check_policy(dropouts)
        if seed < 0:
            raise ConfigError(f"seed is {seed}; choose 0 or more")
        self._config = config
        self._cohort = cohort
        self._policy = dropouts
        self._clipped = clipped
        self._eager = eager
        self._seed = seed
        self._ledger = Ledger(scales or Scales(config, cohort), cohort)
        # a derivative by others than those of its value has to bring the arguments to them
        relied_on_s = 0.0 if dropouts == "resample" else config.tape_s
        memory = Memory(relied_on_s, clock or SystemClock())
        self._sums = Sums(rounds, clipped, self._ledger.note, memory)

    @property
    def ledger(self) -> tuple[RoundCost, ...]:
        """Every round so far, in order."""
        return self._ledger.rounds

    # ---- the primitives --------------------------------------------------------------------------

    def broadcast(self, tensor: Tensor) -> Broadcast:
        """Return the tensor as an argument of `map`; it travels with the sum."""
        return Broadcast(tensor)

    def map(self, program: Program, *given: Broadcast) -> Mapped:
        """Return the program's results on every device; they are computed when they are summed."""
        return Mapped(program, tuple(each.tensor for each in given))

    def sum(self, mapped: Program | Mapped, *tensors: Tensor, seed: int | None = None) -> Found:
        """Return the sum over devices of a program's results: one tensor, or one for each.

        Args:
            mapped: a program with its arguments as `tensors`, or what `map` returned.
            seed: of the examples, in place of the federation's.

        Raises:
            ConfigError: the arguments do not fit the program's terms.
            DreamshareError: the round was not answered.
        """
        found, _ = self._summed(mapped, tensors, seed)
        return found if len(found) > 1 else found[0]

    def mean(
        self,
        mapped: Program | Mapped,
        *tensors: Tensor,
        weight: str | None = None,
        seed: int | None = None,
    ) -> Found:
        """Return the mean over devices.

        Args:
            weight: name of the result that holds a device's weight, by which the others have been
                multiplied already: the sums of both are of one round, and divided.

        Raises:
            ConfigError, DreamshareError: as `sum`.
        """
        found, site = self._summed(mapped, tensors, seed)
        if weight is None:
            count = 1 if site.crowd is None else max(1, len(site.crowd))
            means = tuple(each / count for each in found)
        else:
            names = [result.name for result in site.program.results]
            if weight not in names or len(names) < 2:
                raise ConfigError(f"{site.program.name} has no result {weight!r} beside others")
            total = found[names.index(weight)]
            means = tuple(t / total for n, t in zip(names, found, strict=True) if n != weight)
        return means if len(means) > 1 else means[0]

    # ---- derivatives -----------------------------------------------------------------------------

    def grad(self, function: Scalar, mode: str = "reverse") -> Callable[..., Found]:
        """Return the function that gives the gradient by every argument; see `value_and_grad`."""
        both = self.value_and_grad(function, mode)
        return lambda *given: both(*given)[1]

    def value_and_grad(
        self, function: Scalar, mode: str = "reverse"
    ) -> Callable[..., tuple[Tensor, Found]]:
        """Return the function that gives value and gradient by every argument.

        Args:
            function: of tensors, one number.
            mode: "reverse": a round for each sum, backwards; "forward", or "mixed": a round for
                each entry of the arguments, from the devices that gave the value, and of a loss one
                number of each device, which contracts its gradient itself, backwards; "auto":
                whichever takes fewer rounds, then fewer bytes.

        Raises:
            ConfigError: another mode.
        """
        if mode not in MODES:
            raise ConfigError(f"mode is {mode!r}; choose one of {', '.join(MODES)}")

        def run(*given: Tensor) -> tuple[Tensor, Found]:
            chosen = self._cheaper(function, given) if mode == "auto" else mode
            way = _backwards if chosen == "reverse" else self._forwards
            value, gradients = way(function, given)
            return value, gradients if len(gradients) > 1 else gradients[0]

        return run

    def jvp(
        self, function: Callable[..., Found]
    ) -> Callable[[Sequence[Tensor], Sequence[Tensor]], tuple[Tensor, Tensor]]:
        """Return (arguments, tangents) -> (value, its change): both come with one message."""

        def run(given: Sequence[Tensor], tangents: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
            with forward_ad.dual_level():
                duals = [
                    forward_ad.make_dual(  # type: ignore[no-untyped-call]
                        each.detach(), tangent.detach()
                    )
                    for each, tangent in zip(given, tangents, strict=True)
                ]
                primal, pushed = _unpacked(_one(function(*duals)))
                primal = primal.detach()
                return primal, torch.zeros_like(primal) if pushed is None else pushed.detach()

        return run

    def hvp(self, function: Scalar) -> Callable[[Tensor, Tensor], Tensor]:
        """Return (argument, vector) -> Hessian times vector."""

        def run(given: Tensor, vector: Tensor) -> Tensor:
            leaf = given.detach().requires_grad_(True)
            with torch.enable_grad():  # asked for, wherever: as torch.func does it
                (slope,) = torch.autograd.grad(
                    _number(function(leaf)), leaf, create_graph=True, materialize_grads=True
                )
            if not slope.requires_grad:
                return torch.zeros_like(leaf)
            (product,) = torch.autograd.grad(slope, leaf, vector, materialize_grads=True)
            return product

        return run

    def explain(
        self, function: Callable[..., object], *given: Tensor, devices: int = 0
    ) -> Explanation:
        """Return what `function(*given)` will ask for, without asking: it runs on made-up sums.

        Sums that were asked for already cost nothing. The function runs as it will run later, so
        pass `fed.grad(f)` to see what the gradient of f costs.

        Args:
            devices: that frames are counted for; 0: those of the epoch, or before there is one as
                many as the cohort may have.
        """
        sums, ledger = self._sums, self._ledger
        self._ledger = imagined = ledger.copy(devices)
        self._sums = sums.imagined(Tracing(self._config), imagined.note)
        try:
            function(*(each.detach().clone() for each in given))
            rounds = imagined.rounds[len(ledger.rounds) :]
            return Explanation(rounds, self._cohort, imagined.roster, self._config.tape_s)
        finally:
            self._sums, self._ledger = sums, ledger

    # ---- how it gets there -----------------------------------------------------------------------

    def _summed(
        self, mapped: Program | Mapped, tensors: tuple[Tensor, ...], seed: int | None
    ) -> tuple[tuple[Tensor, ...], Site]:
        if isinstance(mapped, Program):
            mapped = Mapped(mapped, tensors)
        elif tensors:
            raise ConfigError("what `map` returned has its arguments already")
        program = mapped.program
        if program not in self._config.programs:
            raise ConfigError(f"{program.name}, with these terms, is not of this session")
        if len(mapped.tensors) != len(program.arguments):
            raise ConfigError(
                f"{program.name} takes {len(program.arguments)} arguments, "
                f"{', '.join(each.name for each in program.arguments)}; {len(mapped.tensors)} given"
            )
        site = Site(self._sums, program, self._seed if seed is None else seed, self._policy)
        self._foresee(site, mapped.tensors)
        return value(site, mapped.tensors), site

    def _foresee(self, site: Site, tensors: tuple[Tensor, ...]) -> None:
        """Note which derivatives are known to follow, and may come along with the value."""
        program = site.program
        names = [each.name for each in program.arguments]
        duals = [_unpacked(tensor)[1] for tensor in tensors]
        along = {n: t for n, t in zip(names, duals, strict=True) if t is not None}
        if along and {"value", "jvp"} <= set(program.transforms):
            site.along = along
        loss = len(program.results) == 1 and not program.results[0].shape
        may = self._eager and loss and {"value", "vjp"} <= set(program.transforms)
        if may and not along and torch.is_grad_enabled():
            site.eager = site.names([tensor.requires_grad for tensor in tensors])

    def _forwards(
        self, function: Scalar, given: Sequence[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Value and gradients, an entry at a time; what is not differentiable by it is 0."""
        run = self.jvp(function)
        gradients = [torch.zeros_like(each) for each in given]
        value = torch.zeros(())
        for place, gradient in enumerate(gradients):
            for entry in range(gradient.numel()):
                tangents = [torch.zeros_like(each) for each in given]
                tangents[place].view(-1)[entry] = 1.0
                value, pushed = run(given, tangents)
                gradient.view(-1)[entry] = _number(pushed)
        return value, tuple(gradients)

    def _cheaper(self, function: Scalar, given: Sequence[Tensor]) -> str:
        ways = {
            "reverse": lambda *x: _backwards(function, x),
            "forward": lambda *x: self._forwards(function, x),
        }
        if sum(each.numel() for each in given) > MOST_ENTRIES:
            return "reverse"
        costs = {name: self.explain(way, *given) for name, way in ways.items()}
        return min(costs, key=lambda n: (len(costs[n].rounds), costs[n].up + costs[n].down))


MODES = ("reverse", "forward", "mixed", "auto")

MOST_ENTRIES = 16
"""Entries of the arguments up to which `auto` looks at forward mode."""


def _backwards(function: Scalar, given: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    leaves = [each.detach().requires_grad_(True) for each in given]
    with torch.enable_grad():  # asked for, wherever: as torch.func does it
        value = _number(function(*leaves))
    if not value.requires_grad:
        return value, tuple(torch.zeros_like(each) for each in leaves)
    gradients = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
    return value.detach(), gradients


def _one(found: Found) -> Tensor:
    if isinstance(found, Tensor):
        return found
    raise ConfigError(f"the function gives {len(found)} results; a derivative is of one")


def _number(found: Found) -> Tensor:
    value = _one(found)
    if value.numel() != 1:
        raise ConfigError(f"the function gives {tuple(value.shape)}; a gradient is of one number")
    return value.reshape(())


def _unpacked(tensor: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return a tensor and, where a level of forward mode is open, its tangent."""
    if forward_ad._current_level < 0:
        return tensor, None
    found = forward_ad.unpack_dual(tensor)  # type: ignore[no-untyped-call]
    return found.primal, found.tangent
