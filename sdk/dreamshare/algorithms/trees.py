"""Frozen dataclasses as trees of JSON values, and back, guided by their type hints.

Rules:
- strict: unknown or missing fields, another type, a number that is not finite, or a value outside
  the range that the dataclass checks at construction is one ConfigError that names the field;
- whole numbers are taken where a float is declared, nothing else is converted;
- arrays are handed to the caller's `store` and fetched through its `load`; without them an array
  is refused, so that a config stays small and readable.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TypeVar

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.updates import PublicArray

T = TypeVar("T")
Tree = None | bool | int | float | str | list["Tree"] | dict[str, "Tree"]
Store = Callable[[PublicArray], str]
Load = Callable[[str], PublicArray]

CLASS = "~"
"""Key that names the dataclass of an object in a tree; no field can be called so."""


def to_tree(value: object, store: Store | None = None, at: str = "value") -> Tree:
    """Return the tree of a dataclass, number, text, tuple, mapping or (with `store`) array."""
    match value:
        case Enum():
            return to_tree(value.value, store, at)
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case tuple():
            return [to_tree(item, store, f"{at}[{i}]") for i, item in enumerate(value)]
        case Mapping():
            return {str(key): to_tree(item, store, f"{at}[{key}]") for key, item in value.items()}
        case np.ndarray() if store is not None:
            return store(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        tree: dict[str, Tree] = {CLASS: type(value).__name__}
        for field in dataclasses.fields(value):
            tree[field.name] = to_tree(getattr(value, field.name), store, f"{at}.{field.name}")
        return tree
    raise ConfigError(f"{at}: a {type(value).__name__} ({value!r:.40}) cannot be stored")


def from_tree(
    tree: Tree, kind: type[T], load: Load | None = None, *, defaults: bool = False, at: str = ""
) -> T:
    """Return the dataclass `kind` that a tree describes.

    Args:
        tree: what `to_tree` returned, or JSON that somebody else wrote.
        kind: the dataclass.
        load: fetches arrays by the name that `store` gave.
        defaults: let missing fields take their defaults (for people's input, never on the wire).
        at: path of the value, for errors.

    Raises:
        ConfigError: see the module's rules.
    """
    if not isinstance(tree, dict):
        raise ConfigError(f"{at or kind.__name__}: an object was expected, not {tree!r:.40}")
    name = tree.get(CLASS, kind.__name__)
    if name != kind.__name__:
        raise ConfigError(f"{at or 'value'}: a {kind.__name__} was expected, not a {name}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}  # type: ignore[arg-type]
    unknown = sorted(set(tree) - set(fields) - {CLASS})
    if unknown:
        raise ConfigError(f"{at or kind.__name__}: unknown field {unknown[0]!r}")
    values: dict[str, object] = {}
    for name, field in fields.items():
        path = f"{at}.{name}" if at else name
        if name in tree:
            values[name] = _value(tree[name], hints[name], load, defaults, path)
        elif not (defaults and _has_default(field)):
            raise ConfigError(f"{path} is missing")
    return kind(**values)


def _has_default(field: dataclasses.Field[object]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _value(tree: Tree, hint: object, load: Load | None, defaults: bool, at: str) -> object:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is np.ndarray:
        if load is None or not isinstance(tree, str):
            raise ConfigError(f"{at}: an array was expected here")
        return load(tree)
    if origin in (types.UnionType, typing.Union):
        return _union(tree, args, load, defaults, at)
    if origin is typing.Literal:
        if not any(tree == arg and type(tree) is type(arg) for arg in args):
            raise ConfigError(f"{at} is {tree!r:.40}; choose one of {', '.join(map(repr, args))}")
        return tree
    if origin is tuple:
        return _tuple(tree, args, load, defaults, at)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(tree, dict):
            raise ConfigError(f"{at}: an object was expected, not {tree!r:.40}")
        return {k: _value(v, args[1], load, defaults, f"{at}[{k}]") for k, v in tree.items()}
    return _plain(tree, hint, load, defaults, at)


def _plain(tree: Tree, hint: object, load: Load | None, defaults: bool, at: str) -> object:
    if hint is float and isinstance(tree, int | float) and not isinstance(tree, bool):
        number = float(tree)
        if math.isfinite(number):
            return number
    elif hint in (bool, int, str):
        if type(tree) is hint:
            return tree
    elif isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(tree)
        except ValueError:
            raise ConfigError(f"{at}: {tree!r:.40} is no {hint.__name__}") from None
    elif isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_tree(tree, hint, load, defaults=defaults, at=at)
    name = hint.__name__ if isinstance(hint, type) else str(hint)
    raise ConfigError(f"{at} is {tree!r:.40}; a finite {name} was expected")


def _union(
    tree: Tree, args: tuple[object, ...], load: Load | None, defaults: bool, at: str
) -> object:
    if tree is None and types.NoneType in args:
        return None
    errors = []
    for arg in args:
        if arg is types.NoneType:
            continue
        try:
            return _value(tree, arg, load, defaults, at)
        except ConfigError as error:
            errors.append(str(error))
    raise ConfigError("; ".join(errors) or f"{at} must be null")


def _tuple(
    tree: Tree, args: tuple[object, ...], load: Load | None, defaults: bool, at: str
) -> tuple[object, ...]:
    if not isinstance(tree, list):
        raise ConfigError(f"{at}: a list was expected, not {tree!r:.40}")
    if len(args) == 2 and args[1] is Ellipsis:
        hints: tuple[object, ...] = (args[0],) * len(tree)
    elif len(args) == len(tree):
        hints = args
    else:
        raise ConfigError(f"{at} has {len(tree)} entries; {len(args)} were expected")
    pairs = zip(tree, hints, strict=True)
    return tuple(_value(t, h, load, defaults, f"{at}[{i}]") for i, (t, h) in enumerate(pairs))
