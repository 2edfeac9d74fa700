"""A program of another one's results on the same device, which never leave it one by one.

    SPREAD_OF = chained("spread_of/1", DELTA, SPREAD, {"delta": "change"})

    change = fed.sum(DELTA_TERMS, model)                          # a round
    spread = fed.sum(SPREAD_OF_TERMS, model, change / devices)    # of the same device's DELTA

Rules:
- the first program's results are computed again where the second one needs them, from the arguments
  that come with the request: a device keeps nothing that follows from its data between rounds;
- so the chain is one pure function of the first program's arguments and of those of the second that
  are not linked; its derivatives go through both, and what flows between them stays on the device;
- it is a program of its own: with a name, terms, and an entry in the owner's policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from torch import Tensor

from dreamshare.errors import ConfigError
from dreamshare.learning.onnx.signatures import Argument, DataArray
from dreamshare.learning.torch.sources import Net, ProgramSource, Tensors

Named = TypeVar("Named", Argument, DataArray)


def chained(
    name: str, first: ProgramSource, second: ProgramSource, links: Mapping[str, str]
) -> ProgramSource:
    """Return `second` as a function of what `first` gives on the same device.

    Args:
        name: of the new program, with its version.
        first, second: programs; transforms that both have are those of the new one.
        links: from results of `first` to arguments of `second`, at least one. Arguments and data of
            the same name are the same.

    Raises:
        ConfigError: an argument is not one of `second`; both have different arguments or data of
            one name; parameters are held by one alone.
    """
    linked = frozenset(links.values())
    own = tuple(each for each in second.arguments if each.name not in linked)
    if not links or len(linked) < len(links) or len(own) + len(linked) > len(second.arguments):
        raise ConfigError(
            f"program {name}: links lead to arguments of {second.name}, each to another one, not "
            f"to {', '.join(links.values()) or 'none'}"
        )
    if first.parameters != second.parameters:
        raise ConfigError(
            f"program {name}: the net's parameters are {first.parameters!r} in {first.name} and "
            f"{second.parameters!r} in {second.name}"
        )

    def function(arguments: Tensors, data: Tensors, net: Net) -> Tensors:
        before = first.function(_for(first.arguments, arguments), _for(first.data, data), net)
        missing = sorted(links.keys() - before.keys())
        if missing:
            raise ConfigError(f"program {first.name} gives no {missing[0]!r}")
        given = {links[result]: tensor for result, tensor in before.items() if result in links}
        given |= _for(own, arguments)
        return second.function(given, _for(second.data, data), net)

    return ProgramSource(
        name,
        function,
        _together(name, first.arguments, own),
        _together(name, first.data, second.data),
        tuple(each for each in first.transforms if each in second.transforms),
        first.parameters,
    )


def _for(declared: Sequence[Argument | DataArray], given: Tensors) -> dict[str, Tensor]:
    return {each.name: given[each.name] for each in declared}


def _together(name: str, one: tuple[Named, ...], other: tuple[Named, ...]) -> tuple[Named, ...]:
    known = {each.name: each for each in one}
    for each in other:
        if known.setdefault(each.name, each) != each:
            raise ConfigError(
                f"program {name}: {each.name!r} means two things in what it is made of"
            )
    return tuple(known.values())
