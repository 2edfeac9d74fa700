"""The four nodes of a federated computation's graph; each is a round, and so is what they become.

    Value(x) = sum_i f(x; D_i)          backward: Pull           forward mode: Push
    Pull(x, g) = J^T g                  backward: Curve, Push    forward mode: Curve, Pull
    Push(x, t) = J t                    backward: Curve, Pull
    Curve(x, g, t) = d(J^T g) along t   the end: what follows are third derivatives

Rules:
- broadcast and sum are each other's transposes, so derivatives use the same sums with the same
  protection: a derived graph holds these nodes and the caller's own torch functions, no others;
- only wanted cotangents are asked for (`needs_input_grad`);
- `forward` has no context, so that `torch.func` on the caller's side works, too;
- `x` are all arguments of a program, `g` cotangents of all results, `t` tangents of some arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, Function

from dreamshare.autodiff.site import Site
from dreamshare.errors import ConfigError

Found = tuple[Tensor | None, ...]
Names = tuple[str, ...]


class _Context(BackwardCFunction):
    """What a node keeps for its derivative; torch hands it over."""

    saved_tensors: tuple[Tensor, ...]  # type: ignore[assignment]  # torch's stub says one
    needs_input_grad: tuple[bool, ...]  # type: ignore[assignment]
    site: Site
    by: Names
    along: Names


class Value(Function):
    """(site, *x) -> results."""

    @staticmethod
    def forward(site: Site, *x: Tensor) -> tuple[Tensor, ...]:
        return site.value(x)

    @staticmethod
    def setup_context(ctx: _Context, inputs: tuple[Site, *tuple[Tensor, ...]], _: object) -> None:
        ctx.site, *x = inputs
        ctx.save_for_backward(*x)
        ctx.save_for_forward(*x)

    @staticmethod
    def backward(ctx: _Context, *g: Tensor) -> Found:
        site, x = ctx.site, ctx.saved_tensors
        by = site.names(ctx.needs_input_grad[1:])
        return (None, *_placed(site, by, pull(site, by, *x, *g)))

    @staticmethod
    def jvp(ctx: _Context, _site: None, *t: Tensor | None) -> tuple[Tensor, ...]:
        site, x = ctx.site, ctx.saved_tensors
        along = site.names([each is not None for each in t])
        return push(site, along, *x, *_there(t))

    @staticmethod
    def vmap(info: object, in_dims: object, *given: object) -> object:
        return _no_vmap()


class Pull(Function):
    """(site, by, *x, *g) -> gradients of the arguments `by`."""

    @staticmethod
    def forward(site: Site, by: Names, *given: Tensor) -> tuple[Tensor, ...]:
        x, g, _ = _split(site, given)
        return site.pull(x, g, by)

    @staticmethod
    def setup_context(
        ctx: _Context, inputs: tuple[Site, Names, *tuple[Tensor, ...]], _: object
    ) -> None:
        ctx.site, ctx.by, *given = inputs
        ctx.save_for_backward(*given)
        ctx.save_for_forward(*given)

    @staticmethod
    def backward(ctx: _Context, *u: Tensor) -> Found:
        site, by = ctx.site, ctx.by
        x, g, _ = _split(site, ctx.saved_tensors)
        needs = ctx.needs_input_grad[2:]
        curved = site.names(needs[: len(x)])
        pushes = any(needs[len(x) :])
        if curved and pushes:
            site.both(x, g, by, u, curved)
        x_bar: Found = (None,) * len(x)
        g_bar: Found = (None,) * len(g)
        if curved:
            x_bar = _placed(site, curved, curve(site, curved, by, *x, *g, *u))
        if pushes:
            g_bar = push(site, by, *x, *u)
        return (None, None, *x_bar, *g_bar)

    @staticmethod
    def jvp(ctx: _Context, _site: None, _by: None, *t: Tensor | None) -> tuple[Tensor, ...]:
        site, by = ctx.site, ctx.by
        x, g, _ = _split(site, ctx.saved_tensors)
        tx, tg = t[: len(x)], t[len(x) :]
        along = site.names([each is not None for each in tx])
        parts: list[tuple[Tensor, ...]] = []
        if along:
            parts.append(curve(site, by, along, *x, *g, *_there(tx)))
        if _there(tg):
            full = [torch.zeros_like(a) if b is None else b for a, b in zip(g, tg, strict=True)]
            parts.append(pull(site, by, *x, *full))
        first, *others = parts
        return tuple(sum(each[1:], each[0]) for each in zip(first, *others, strict=True))

    @staticmethod
    def vmap(info: object, in_dims: object, *given: object) -> object:
        return _no_vmap()


class Push(Function):
    """(site, along, *x, *t) -> how the results change."""

    @staticmethod
    def forward(site: Site, along: Names, *given: Tensor) -> tuple[Tensor, ...]:
        count = len(site.program.arguments)
        return site.push(given[:count], along, given[count:])

    @staticmethod
    def setup_context(
        ctx: _Context, inputs: tuple[Site, Names, *tuple[Tensor, ...]], _: object
    ) -> None:
        ctx.site, ctx.along, *given = inputs
        ctx.save_for_backward(*given)

    @staticmethod
    def backward(ctx: _Context, *g: Tensor) -> Found:
        site, along = ctx.site, ctx.along
        count = len(site.program.arguments)
        x, t = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        needs = ctx.needs_input_grad[2:]
        curved = site.names(needs[:count])
        pairs = zip(along, needs[count:], strict=True)
        pulled = tuple(name for name, needed in pairs if needed)
        x_bar: Found = (None,) * count
        t_bar: Found = (None,) * len(t)
        if curved:
            x_bar = _placed(site, curved, curve(site, curved, along, *x, *g, *t))
        if pulled:
            names = _placed(site, pulled, pull(site, pulled, *x, *g))
            by_name = dict(zip(_all(site), names, strict=True))
            t_bar = tuple(by_name[name] for name in along)
        return (None, None, *x_bar, *t_bar)

    @staticmethod
    def jvp(ctx: _Context, *t: Tensor | None) -> tuple[Tensor, ...]:
        raise ConfigError(
            "forward mode over forward mode needs second derivatives of every result, which "
            "devices do not give; use fed.hvp, or backward over forward"
        )

    @staticmethod
    def vmap(info: object, in_dims: object, *given: object) -> object:
        return _no_vmap()


class Curve(Function):
    """(site, by, along, *x, *g, *t) -> how the gradients of `by` change along t."""

    @staticmethod
    def forward(site: Site, by: Names, along: Names, *given: Tensor) -> tuple[Tensor, ...]:
        x, g, t = _split(site, given)
        return site.curve(x, g, along, t, by)

    @staticmethod
    def setup_context(ctx: _Context, inputs: object, _: object) -> None:
        """Keep nothing: this is where derivatives end."""

    @staticmethod
    def backward(ctx: _Context, *u: Tensor) -> Found:
        raise ConfigError(
            "a third derivative is wanted; devices give two: detach what the last one need not go "
            "through"
        )

    @staticmethod
    def jvp(ctx: _Context, *t: Tensor | None) -> tuple[Tensor, ...]:
        raise ConfigError("a third derivative is wanted; devices give two")

    @staticmethod
    def vmap(info: object, in_dims: object, *given: object) -> object:
        return _no_vmap()


def value(site: Site, x: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the sums of a program's results at x, differentiable."""
    found: tuple[Tensor, ...] = Value.apply(site, *x)  # type: ignore[no-untyped-call]
    return found


def pull(site: Site, by: Names, *given: Tensor) -> tuple[Tensor, ...]:
    """Return J^T g for the arguments `by`, differentiable."""
    found: tuple[Tensor, ...] = Pull.apply(site, by, *given)  # type: ignore[no-untyped-call]
    return found


def push(site: Site, along: Names, *given: Tensor) -> tuple[Tensor, ...]:
    """Return J t, differentiable."""
    found: tuple[Tensor, ...] = Push.apply(site, along, *given)  # type: ignore[no-untyped-call]
    return found


def curve(site: Site, by: Names, along: Names, *given: Tensor) -> tuple[Tensor, ...]:
    """Return how J^T g changes along t."""
    found: tuple[Tensor, ...]
    found = Curve.apply(site, by, along, *given)  # type: ignore[no-untyped-call]
    return found


def _all(site: Site) -> Names:
    return tuple(each.name for each in site.program.arguments)


def _placed(site: Site, names: Names, found: Sequence[Tensor]) -> Found:
    """Return one entry for every argument: what was found for it, or None.

    `found` is in the order of the program's arguments, whatever order `names` has.
    """
    by_name = dict(zip([name for name in _all(site) if name in names], found, strict=True))
    return tuple(by_name.get(name) for name in _all(site))


def _split(
    site: Site, given: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
    x, g = len(site.program.arguments), len(site.program.results)
    return given[:x], given[x : x + g], given[x + g :]


def _there(tensors: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    return tuple(each for each in tensors if each is not None)


def _no_vmap() -> object:
    raise ConfigError(
        "a round cannot be vectorised by vmap: each would be a question of its own; make the batch "
        "an axis of a program's argument"
    )
