"""How values look in a terminal and in a notebook: one line, or a small table.

Rules:
- everything is escaped: names and details come from other parties;
- long things are named, not printed: an array by its dtype and shape, bytes by their first digits;
- nothing here imports more than the standard library, and `html` only for a notebook: its table of
  entities is 1.7 MB of an agent that shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")

_ID_BYTES = 16


@runtime_checkable
class _Arrayed(Protocol):
    """An array of numpy or torch."""

    @property
    def dtype(self) -> object: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


class Shown:
    """Gives a dataclass (made with `repr=False`) a short `repr` and a table in notebooks."""

    __slots__ = ()

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={text_of(value)}" for name, value in _parts(self))
        return f"{type(self).__name__}({told})"

    def _repr_html_(self) -> str:
        return html_of(self)


class Rows(tuple[T, ...]):
    """A tuple of dataclasses that a notebook shows as one table, a row each."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        if not self:
            return "<p>none</p>"
        heads = "".join(f"<th>{_escaped(name)}</th>" for name, _ in _parts(self[0]))
        rows = "".join(
            "<tr>" + "".join(f"<td>{html_of(value)}</td>" for _, value in _parts(row)) + "</tr>"
            for row in self
        )
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def text_of(value: object) -> str:
    """Return a value in a few words of plain text."""
    match value:
        case Shown():
            return repr(value)
        case Enum():
            return str(value.value)
        case bytes() if len(value) == _ID_BYTES:
            return value.hex()
        case bytes():
            return f"<{len(value)} bytes>"
        case float():
            return f"{value:.6g}"
        case str():
            return repr(value)
        case _Arrayed():
            return f"<{value.dtype} {tuple(value.shape)}>"
        case Mapping():
            return f"{{{', '.join(f'{key}: {text_of(one)}' for key, one in value.items())}}}"
        case tuple() | list():
            return f"({', '.join(map(text_of, value))})"
    return str(value)


def html_of(value: object) -> str:
    """Return a value as HTML in which everything that is not ours is escaped."""
    match value:
        case str():
            return _escaped(value)
        case Mapping():
            return _table((str(key), one) for key, one in value.items()) if value else ""
        case tuple() | list():
            return "<br>".join(map(html_of, value))
    if is_dataclass(value) and not isinstance(value, type):
        return _table(_parts(value))
    return _escaped(text_of(value))


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)


def _table(rows: Iterable[tuple[str, object]]) -> str:
    lines = "".join(
        f"<tr><th>{_escaped(name)}</th><td>{html_of(value)}</td></tr>" for name, value in rows
    )
    return f"<table><tbody>{lines}</tbody></table>"


def _parts(value: object) -> list[tuple[str, object]]:
    if not is_dataclass(value) or isinstance(value, type):
        return [("value", value)]
    return [(one.name, getattr(value, one.name)) for one in fields(value)]
