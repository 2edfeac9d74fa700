"""From a settings file that a person wrote to the order that travels."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path

from dreamshare.algorithms.catalog import config_class, config_from, config_json_of
from dreamshare.algorithms.trees import Tree
from dreamshare.errors import ConfigError
from dreamshare.learning.public import PublicSet, naming
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.messages import Cohort, Deadlines, Stratum, Submit
from dreamshare_crypto.suite import Suite

_STRATUM = re.compile(r"([^=:]+)=([^:]*)(?::(\d*)-(\d*))?")


def read_order(
    algorithm: str,
    path: Path | None,
    cohort: Cohort,
    deadlines: Deadlines,
    seed: int,
    name: str,
    privacy: Privacy | None = None,
    priority: int = 0,
    public: PublicSet | None = None,
) -> Submit:
    """Return the order; fields that the file leaves out take the algorithm's defaults.

    `public` is the public set of the task, where the file does not name one by its digest.

    Raises:
        ConfigError: unknown algorithm, or a file that is not what it should be.
    """
    values = {} if path is None else _read(path)
    if public is not None:
        fields = dataclasses.fields(config_class(algorithm))  # type: ignore[arg-type]
        values = {**naming(public, {field.name for field in fields}), **values}
    try:
        config = config_from(algorithm, values)
    except ConfigError as error:
        raise ConfigError(f"{algorithm if path is None else path}: {error}") from None
    registered, canonical = config_json_of(config)
    return Submit(registered, canonical, cohort, deadlines, seed, name, privacy, priority)


def wanted_privacy(
    clip: float, multiplier: float, epsilon: float, delta: float, bits: int
) -> Privacy | None:
    """Return the noise that was asked for; None where no option asks for any.

    Raises:
        ConfigError: the options do not fit together.
    """
    if not (clip or multiplier or epsilon):
        return None
    if not clip:
        raise ConfigError("noise needs a clip: give --clip, the l2 norm of a device's answer")
    return Privacy(clip, multiplier, epsilon, delta, bits)


def stratum_of(text: str) -> Stratum:
    """Return the stratum that 'region=eu:5-10' names; both bounds may be left out.

    Raises:
        ConfigError: it reads otherwise.
    """
    found = _STRATUM.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"stratum {text!r} must read 'name=value:least-most', e.g. region=eu:5-10"
        )
    attribute, value, least, most = found.groups()
    return Stratum(attribute, value, int(least or 0), int(most or 0))


def suite_named(name: str) -> Suite:
    """Return the suite of this name, "aes" or "chacha"; raises ConfigError."""
    try:
        return Suite[name.upper()]
    except KeyError:
        known = ", ".join(suite.name.lower() for suite in Suite)
        raise ConfigError(f"there is no suite {name!r}; choose one of {known}") from None


def _read(path: Path) -> dict[str, Tree]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"cannot read {path}: {reason}") from None
    try:
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path} is neither TOML nor JSON as its name says: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no table of settings")
    return values
