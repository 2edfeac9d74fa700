"""A net from a user's own Python file.

Rules:
- the file is executed with this process's rights: it is the user's own code, given on the command
  line, and never comes over a network.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from dreamshare.errors import ConfigError


def load_net(source: bytes, path: Path, function: str) -> nn.Module:
    """Return what `function()` of the file returns.

    Args:
        source: the file's content.
        path: of the file, for its own use and for texts.
        function: name of a function without arguments.

    Raises:
        ConfigError: not Python, no such function, or something else than a Module comes back.
    """
    try:
        code = compile(source, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{path} is not a Python file: {error}") from None
    names: dict[str, object] = {"__name__": path.stem, "__file__": str(path)}
    exec(code, names)  # noqa: S102 - the user's own model
    make = names.get(function)
    if not callable(make):
        raise ConfigError(f"{path} has no function {function!r}")
    net = make()
    if not isinstance(net, nn.Module):
        raise ConfigError(f"{function}() returned {type(net).__name__}, not a torch.nn.Module")
    return net
