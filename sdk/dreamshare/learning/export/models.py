"""A net from a user's own Python file.

Rules:
- the file is executed with this process's rights: it is the user's own code, given on the command
  line, and never comes over a network.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from torch import nn

from dreamshare.errors import ConfigError
from dreamshare.learning.export.refusals import first_line


def load_net(source: bytes, path: Path, function: str) -> nn.Module:
    """Return what `function()` of the file returns.

    Args:
        source: the file's content.
        path: of the file, for its own use and for texts.
        function: name of a function without arguments.

    Raises:
        ConfigError: not Python, it fails, no such function, one that needs arguments, or something
            else than a Module comes back.
    """
    try:
        code = compile(source, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{path} is not a Python file: {error}") from None
    names: dict[str, object] = {"__name__": path.stem, "__file__": str(path)}
    try:
        exec(code, names)  # noqa: S102 - the user's own model
    except Exception as error:
        raise _failed(str(path), error) from error
    make = names.get(function)
    if not callable(make):
        raise ConfigError(f"{path} has no function {function!r}")
    needed = [
        name
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        raise ConfigError(
            f"{function} in {path} needs arguments ({', '.join(needed)}); name a function that "
            "takes none and calls it"
        )
    try:
        net = make()
    except Exception as error:
        raise _failed(f"{function}() in {path}", error) from error
    if not isinstance(net, nn.Module):
        raise ConfigError(f"{function}() returned {type(net).__name__}, not a torch.nn.Module")
    return net


def _failed(where: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{where} fails ({type(error).__name__}: {first_line(error)}); mend it first"
    )
