"""A task as the page's form sends it, turned into an order; and what the form begins with.

Rules: every value is taken apart here, once, with an error in words; what an algorithm, a cohort or
a noise may be is said by their own types.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from dreamshare.algorithms.catalog import config_class, config_from, config_json_of, names
from dreamshare.algorithms.trees import Tree
from dreamshare.errors import ConfigError
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.messages import Cohort, Deadlines, Submit

_COHORT = frozenset(("least", "most", "survivors", "collect_s"))
_KNOWN = _COHORT | frozenset(("algorithm", "config", "name", "seed", "epsilon", "clip"))
_LONGEST_NAME = 64


def order_from(text: bytes) -> Submit:
    """Return the order in a form's JSON.

    Raises:
        ConfigError: it is none; the text says what to change.
    """
    form = _table(_parsed(text), "the form")
    unknown = sorted(form.keys() - _KNOWN)
    if unknown:
        raise ConfigError(f"the form has unknown fields: {', '.join(unknown)}")
    algorithm, name = _text(form, "algorithm"), _text(form, "name", "")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(f"a name has at most {_LONGEST_NAME} printable characters")
    values = _table(form.get("config", {}), "config")
    registered, canonical = config_json_of(config_from(algorithm, values))
    least, collect_s = _whole(form, "least", 4), _number(form, "collect_s", 120.0)
    cohort = Cohort(least, _whole(form, "most", max(16, least)), _whole(form, "survivors", 0))
    epsilon = _number(form, "epsilon", 0.0)
    privacy = None
    if epsilon:
        privacy = Privacy(clip=_number(form, "clip", 1.0), epsilon=epsilon)
    return Submit(
        registered,
        canonical,
        cohort,
        Deadlines(collect_s=collect_s),
        _whole(form, "seed", 0),
        name,
        privacy,
    )


def templates() -> Mapping[str, str]:
    """Return, for every registered algorithm, a config to begin with as indented JSON.

    What has no default is null: the form says so when it is left.
    """
    return {name: json.dumps(_template(config_class(name)), indent=2) for name in names()}


def _template(kind: type[object]) -> Mapping[str, object]:
    if not dataclasses.is_dataclass(kind):
        return {}
    return {
        field.name: None if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(kind)
        if field.init
    }


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError("the form is not JSON") from None


def _table(value: object, what: str) -> dict[str, Tree]:
    if not isinstance(value, dict):
        raise ConfigError(f"{what} is an object with named values")
    return value


def _text(form: Mapping[str, Tree], name: str, default: str | None = None) -> str:
    value = form.get(name, default)
    if not isinstance(value, str):
        raise ConfigError(f"{name} is a text")
    return value


def _whole(form: Mapping[str, Tree], name: str, default: int) -> int:
    value = form.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ConfigError(f"{name} is a whole number from 0 on")
    return value


def _number(form: Mapping[str, Tree], name: str, default: float) -> float:
    value = form.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ConfigError(f"{name} is a number")
    return float(value)
