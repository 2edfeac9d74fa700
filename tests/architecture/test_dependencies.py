"""What the packages import is declared, what is declared is imported, and all of it is pinned."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import packages_distributions

import pytest

from tests.architecture.packages import ROOMS, ROOT, sources

BY_NAME_ONLY = {"aiosqlite", "transformers"}
"""Declared, and loaded by another library: by a URL's scheme, or as a pipeline's named part."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def normal(name: str) -> str:
    """Return a distribution's normalised name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> set[str]:
    """Return the normalised names of requirement strings, our own extras left out."""
    found = {normal(re.split(r"[\[<>=!~; ]", text, maxsplit=1)[0]) for text in requirements}
    return found - {"dreamshare"}


SHARED = {
    "google": "protobuf",
    "opentelemetry": "opentelemetry-api",
    "opentelemetry.exporter": "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry.sdk": "opentelemetry-sdk",
}
"""Import packages that several distributions fill: the longest name that fits says whose it is."""


def imported() -> set[str]:
    """Return the normalised distributions that the packages import from."""
    modules: set[str] = set()
    for package in ROOMS:
        for path in sources(package):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Import(names=names):
                        modules |= {alias.name for alias in names}
                    case ast.ImportFrom(module=str(module), level=0):
                        modules.add(module)
    ours = {*sys.stdlib_module_names, *ROOMS, "_typeshed"}
    homes = packages_distributions()
    return {home_of(name, homes) for name in modules if name.partition(".")[0] not in ours}


def home_of(module: str, homes: Mapping[str, list[str]]) -> str:
    """Return the distribution that a module comes from."""
    shared = [name for name in SHARED if f"{module}.".startswith(f"{name}.")]
    return SHARED[max(shared, key=len)] if shared else normal(homes[module.partition(".")[0]][0])


FOR_WORK_ON_THE_REPOSITORY = {"dev", "docs", "fuzz"}
"""Extras that the packages themselves import nothing of."""

RUNTIME = declared(PROJECT["dependencies"]) | {
    name
    for extra, requirements in PROJECT["optional-dependencies"].items()
    if extra not in FOR_WORK_ON_THE_REPOSITORY
    for name in declared(requirements)
}


def test_everything_imported_is_declared() -> None:
    assert imported() - RUNTIME == set()


def test_everything_declared_is_imported() -> None:
    assert RUNTIME - imported() - BY_NAME_ONLY == set()


@pytest.mark.parametrize("extra", ["core", *PROJECT["optional-dependencies"]])
def test_bounds_are_lower_bounds(extra: str) -> None:
    wanted = PROJECT["dependencies"] if extra == "core" else PROJECT["optional-dependencies"][extra]
    for requirement in wanted:
        assert not re.search(r"==|<|~=|!=|@", requirement), requirement


def test_constraints_pin_everything_declared_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*", pin) for pin in pins), pins
    pinned = {normal(pin.partition("==")[0]) for pin in pins}
    extras = PROJECT["optional-dependencies"]
    for_work = (declared(extras[extra]) for extra in FOR_WORK_ON_THE_REPOSITORY)
    everything = RUNTIME.union(*for_work)
    assert everything - pinned == set()
