"""Settings files: frozen dataclasses read from TOML, and printed back as a commented default.

    @dataclass(frozen=True, slots=True)
    class Limits:
        rounds: int = setting("Rounds a day, 1 or more.", default=10)

    limits = read_settings(Limits, "rounds = 3", source="limits.toml")
    print(default_text(Limits))

Rules:
- the dataclass is the schema: its fields are the keys, a nested dataclass is a table, and the text
  given to `setting` is the field's documentation, in the file and in `--help` alike;
- every wrong key, type or value is one ConfigError that names file and key and says what to do;
- range checks belong to the dataclass's own `__post_init__`; this module knows types alone.
"""

from __future__ import annotations

import copy
import dataclasses
import textwrap
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dreamshare.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Scalar = str | int | float | bool
"""What a free table such as `[learner.settings]` may hold."""

S = TypeVar("S", bound="DataclassInstance")
V = TypeVar("V")

_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


def setting(text: str, *, default: V, example: object = None, secret: bool = False) -> V:
    """Declare a dataclass field with its documentation (unit, range, edge value).

    `example` is shown, commented out, where the default is None and thus has no TOML form. A
    `secret` may hold a password: it is left out of the dataclass's repr.
    """
    metadata = {"help": text, "example": example}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: copy.copy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


def read_settings(schema: type[S], text: str, *, source: str) -> S:
    """Return the settings that a TOML text holds.

    Raises:
        ConfigError: not TOML, an unknown key, a wrong type, or a value out of its range.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {error}") from None
    return _build(schema, table, source, "")


def load_settings(schema: type[S], path: Path) -> S:
    """Read a settings file; raises ConfigError as `read_settings`, or where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"cannot read the settings file {path}: {reason}") from None
    return read_settings(schema, text, source=str(path))


def default_text(schema: type[DataclassInstance]) -> str:
    """Return a TOML file with every field documented and set to its default."""
    return settings_text(schema())


def settings_text(values: DataclassInstance) -> str:
    """Return a TOML file with every field documented and set as in `values`."""
    return "\n".join(_document(values, "")).strip("\n") + "\n"


def _build(schema: type[S], table: Mapping[str, object], source: str, prefix: str) -> S:
    hints = typing.get_type_hints(schema)
    known = {f.name for f in dataclasses.fields(schema) if f.init}
    values: dict[str, object] = {}
    for key, raw in table.items():
        if key not in known:
            raise ConfigError(f"{source}: unknown key '{prefix}{key}'; {_hint(key, known, prefix)}")
        values[key] = _convert(hints[key], raw, source, f"{prefix}{key}")
    try:
        return schema(**values)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


def _hint(key: str, known: set[str], prefix: str) -> str:
    import difflib  # for a slip alone

    close = difflib.get_close_matches(key, sorted(known), n=1)
    if close:
        return f"did you mean '{prefix}{close[0]}'?"
    return f"known keys here: {', '.join(sorted(known))}"


def _convert(hint: object, raw: object, source: str, key: str) -> object:
    """Return `raw` as a value of type `hint`; ConfigError names the key."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        inner = [h for h in typing.get_args(hint) if h is not type(None)]
        lists = [h for h in inner if typing.get_origin(h) is tuple]
        chosen = lists[0] if lists and isinstance(raw, list) else inner[0]
        return _convert(chosen, raw, source, key)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(raw, dict):
            raise ConfigError(f"{source}: '{key}' is a table; write it as [{key}]")
        return _build(hint, raw, source, f"{key}.")
    if origin is tuple:
        if not isinstance(raw, list):
            raise ConfigError(f"{source}: '{key}' is a list; write {key} = [...]")
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, value, source, f"{key}[{i}]") for i, value in enumerate(raw))
    if origin is Mapping:
        return _free_table(raw, source, key)
    if hint is Path and isinstance(raw, str):
        return Path(raw)
    if hint is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if isinstance(hint, type) and type(raw) is hint:
        return raw
    wanted = _NAMES.get(hint, "a string") if isinstance(hint, type) else "another type"
    raise ConfigError(f"{source}: '{key}' is {raw!r}; {wanted} was expected")


def _free_table(raw: object, source: str, key: str) -> Mapping[str, Scalar]:
    if not isinstance(raw, dict):
        raise ConfigError(f"{source}: '{key}' is a table; write it as [{key}]")
    for name, value in raw.items():
        if not isinstance(value, str | int | float | bool):
            raise ConfigError(
                f"{source}: '{key}.{name}' must be a string, a number or true/false, not a list"
            )
    return raw


def _document(values: DataclassInstance, prefix: str) -> Iterator[str]:
    """Yield the lines of one table, plain keys before sub-tables as TOML wants it."""
    fields = [f for f in dataclasses.fields(values) if f.init]
    tables = [f for f in fields if _is_table(getattr(values, f.name))]
    for field in fields:
        if field in tables:
            continue
        yield from _comment(field.metadata.get("help", ""))
        value, example = getattr(values, field.name), field.metadata.get("example")
        if value is None:
            yield f"# {field.name} = {_literal(example)}"
        else:
            yield f"{field.name} = {_literal(value)}"
        yield ""
    for field in tables:
        value = getattr(values, field.name)
        yield from _comment(field.metadata.get("help", ""))
        yield f"[{prefix}{field.name}]"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _document(value, f"{prefix}{field.name}.")
        else:
            yield from (f"{name} = {_literal(item)}" for name, item in value.items())
            yield ""


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or dataclasses.is_dataclass(value)


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 96)]


def _literal(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case tuple() | list():
            return "[" + ", ".join(_literal(item) for item in value) + "]"
        case _:
            escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
