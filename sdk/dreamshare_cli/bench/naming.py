"""Things of your own in a recipe: `package.module:function`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from dreamshare.errors import ConfigError


def imported(name: str, at: str) -> Callable[..., object]:
    """Return the function that `package.module:function` names; `at` is the place in the recipe.

    Raises:
        ConfigError: it is not of this form, or cannot be imported.
    """
    module, colon, function = name.partition(":")
    if not colon or not function.isidentifier():
        raise ConfigError(f"{at} is {name!r}: neither known here nor of the form module:function")
    try:
        found: object = getattr(import_module(module), function, None)
    except ImportError as error:
        raise ConfigError(f"{at}: {module} cannot be imported: {error}") from None
    if not callable(found):
        raise ConfigError(f"{at}: {module} has no function {function!r}")
    return found
