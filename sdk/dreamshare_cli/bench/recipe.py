"""What an experiment is: a TOML file as frozen values, checked whole before anything runs.

    [[algorithm]]            every algorithm of the catalogue, by its name; its table is its config
    [[partition]]            one column of the results each
    [[baseline]]             what devices reach without any of them

Rules:
- an unknown key, a missing one, another type or a value out of range is one ConfigError that names
  the place in the file;
- a recipe knows no algorithm: `[algorithm.config]` is handed to the catalogue (`filling`);
- the text is kept with its SHA-256: results carry both.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dreamshare.algorithms.trees import Tree, from_tree
from dreamshare.errors import ConfigError
from dreamshare.simulate.conditions import Conditions
from dreamshare_crypto.graph import LARGEST_COMPLETE

PartitionKind = Literal["iid", "dirichlet", "domain"]
BaselineKind = Literal["independent", "label histogram only", "centralised"]
Runtime = Literal["torch", "onnx"]

MOST_RECIPE_BYTES = 1 << 20
MOST_DEVICES = 1_000_000


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file to download: https or http address and SHA-256, 64 hexadecimal digits."""

    url: str
    sha256: str

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ConfigError(f"data.files: {self.url!r} is no https or http address")
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ConfigError(f"data.files: sha256 of {self.url} must be 64 hexadecimal digits")


@dataclass(frozen=True, slots=True)
class DataPlan:
    """Where examples come from and how they are used.

    Attributes:
        source: "digits" (scikit-learn), "fashion-mnist" (Debian's package), "digit-scenes" and
            "fashion-scenes" (two of them on a canvas, labels of pixels), "fashion-colours" and
            "fashion-colours-32" (coloured and textured), "waves" (generated time series), "table"
            and "parity" (generated), "breast-cancer" (scikit-learn), "idx" (a folder), "download",
            or "package.module:function" of your own.
        folder: of "idx": holds the four files of MNIST's format, gzipped or not.
        files: of "download": the four files.
        halve: average blocks of 2x2 pixels, once.
        samples: training examples of a device, on average, >= 2; with scenes, their items.
        validation: examples set aside for every choice and every curve, >= 1; as `test`, in items.
        test: examples that are looked at once, when a cell ends, >= 1.
        public: labelled training examples that belong to no device and that everybody holds, in all
            domains by turns: for algorithms that share opinions on a public set, >= 0.
        domains: looks of the same images, in turn from device to device: "plain", "rotated",
            "inverted".
    """

    source: str
    folder: str = ""
    files: tuple[DataFile, ...] = ()
    halve: bool = False
    samples: int = 500
    validation: int = 1000
    test: int = 2500
    public: int = 0
    domains: tuple[Literal["plain", "rotated", "inverted"], ...] = ("plain",)

    def __post_init__(self) -> None:
        for name, least in (("samples", 2), ("validation", 1), ("test", 1), ("public", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"data.{name} is {getattr(self, name)}; use {least} or more")
        if bool(self.folder) != (self.source == "idx"):
            raise ConfigError("data.folder belongs to source 'idx', which needs it")
        if bool(self.files) != (self.source == "download"):
            raise ConfigError("data.files belong to source 'download', which needs four of them")
        if not self.domains or len(set(self.domains)) < len(self.domains):
            raise ConfigError("data.domains must name at least one domain, each once")


@dataclass(frozen=True, slots=True)
class Partition:
    """How examples are dealt to devices.

    Attributes:
        name: heading of its results.
        kind: "iid", "dirichlet" (each class is cut in shares; `alpha` > 0, small is skewed) or
            "domain" (one domain a device, iid otherwise).
        alpha: of "dirichlet".
        samples: instead of the data's; 0 for those.
    """

    name: str
    kind: PartitionKind
    alpha: float = 0.0
    samples: int = 0

    def __post_init__(self) -> None:
        if (self.kind == "dirichlet") != (self.alpha > 0):
            raise ConfigError(f"partition {self.name!r}: alpha > 0 belongs to kind 'dirichlet'")
        if self.samples < 0 or self.samples == 1:
            raise ConfigError(f"partition {self.name!r}: samples is {self.samples}; use 2 or more")


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """The simulated devices.

    Attributes:
        count: 3 to 1,000,000; one cohort takes up to 128, if `cohort` and conditions are not set.
        cohort: 3 to 128, devices of a cohort at most: each has a sum of its own, and the algorithm
            the mean of all; 0 for one cohort, or for 64 where there are more than 128.
        architectures: in turn from device to device: a name of `nets`, "package.module:function" of
            your own (called with shape, classes and seed), or a bundle's path ("net.dream").
        runtime: "torch", or "onnx" for bundles (the demo's, or paths).
        device: torch's: "cpu", "cuda", "cuda:N", or "auto" (cuda where there is one). Without N,
            processes beside each other take their turn of several GPUs.
    """

    count: int = 4
    cohort: int = 0
    architectures: tuple[str, ...] = (
        "VGG-like",
        "ResNet-like",
        "WideResNet-like",
        "MobileNet-like",
    )
    runtime: Runtime = "torch"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not 3 <= self.count <= MOST_DEVICES:
            raise ConfigError(f"devices.count is {self.count}; choose 3 to {MOST_DEVICES}")
        if self.cohort and not 3 <= self.cohort <= LARGEST_COMPLETE:
            raise ConfigError(f"devices.cohort is {self.cohort}; choose 3 to {LARGEST_COMPLETE}")
        if not self.architectures:
            raise ConfigError("devices.architectures must name at least one")
        if self.runtime == "onnx" and self.device != "cpu":
            raise ConfigError(f"devices.device {self.device!r} belongs to runtime 'torch'")


@dataclass(frozen=True, slots=True)
class StudentPlan:
    """A net that never sees an example of a device: trained on what an algorithm makes public.

    That is what an algorithm shows (`Teaches`), or the recipe's public set with the labels that
    devices gave it (`TeachesHolders`).

    Attributes:
        architecture: as a device's.
        steps: optimiser steps (Adam) at each evaluation, >= 1.
        batch: >= 2.
        learning_rate: > 0.
    """

    architecture: str = "ResNet-like"
    steps: int = 60
    batch: int = 64
    learning_rate: float = 0.002

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 2 or not 0 < self.learning_rate < math.inf:
            raise ConfigError("student: steps >= 1, batch >= 2 and learning_rate > 0 are needed")


@dataclass(frozen=True, slots=True)
class AlgorithmPlan:
    """One algorithm of the catalogue with its config.

    Attributes:
        name: registered, e.g. "codream/1".
        label: heading of its row; the name by default.
        architectures: instead of the devices', e.g. one for algorithms that average weights.
        config: canonical JSON of what the recipe sets; the rest is filled in (`filling`).
    """

    name: str
    label: str = ""
    architectures: tuple[str, ...] = ()
    config: str = "{}"


@dataclass(frozen=True, slots=True)
class BaselinePlan:
    """What devices reach by themselves.

    Attributes:
        kind: "independent", "label histogram only" (balanced softmax) or "centralised".
        label: heading of its row; the kind by default.
    """

    kind: BaselineKind
    label: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One experiment.

    Attributes:
        name: of result files: lower-case letters, digits, '-'.
        about: what it shows, for readers of the results.
        seeds: each >= 0; every cell is run with each of them.
        rounds: fills `rounds` or `cycles` of every config that does not set them, >= 1.
        evaluate_every: rounds between two evaluations, >= 1; the last is always evaluated.
        data, devices, student: see there.
        partition, algorithm, baseline: see there.
        schedule: canonical JSON of the local schedule of the baselines: fields of CoDream's config.
        conditions: how devices of algorithms behave: see `dreamshare.simulate.Conditions`.
        text: the file's.
    """

    name: str
    seeds: tuple[int, ...]
    data: DataPlan
    partition: tuple[Partition, ...]
    about: str = ""
    rounds: int = 5
    evaluate_every: int = 1
    devices: DevicePlan = DevicePlan()
    student: StudentPlan | None = None
    algorithm: tuple[AlgorithmPlan, ...] = ()
    baseline: tuple[BaselinePlan, ...] = ()
    schedule: str = "{}"
    conditions: Conditions = Conditions()
    text: str = ""

    def __post_init__(self) -> None:
        if not self.name or set(self.name) - set("abcdefghijklmnopqrstuvwxyz0123456789-"):
            raise ConfigError(f"name is {self.name!r}; use lower-case letters, digits and '-'")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError("seeds must be at least one number >= 0, each once")
        if self.rounds < 1 or self.evaluate_every < 1:
            raise ConfigError("rounds and evaluate_every must be at least 1")
        if not self.partition or not (self.algorithm or self.baseline):
            raise ConfigError("a recipe needs a [[partition]] and an [[algorithm]] or [[baseline]]")
        _once("partition", [each.name for each in self.partition])
        labels = [each.label or each.name for each in self.algorithm]
        _once("row", labels + [each.label or each.kind for each in self.baseline])
        for partition in self.partition:
            if (partition.kind == "domain") != (len(self.data.domains) > 1):
                raise ConfigError(
                    f"partition {partition.name!r}: kind 'domain' needs two data.domains or more"
                )

    @property
    def sha256(self) -> str:
        """Hash of the file's text, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_recipe(path: Path) -> Recipe:
    """Return the recipe in a file.

    Raises:
        ConfigError: it cannot be read, or see `parse_recipe`.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if len(raw) > MOST_RECIPE_BYTES:
        raise ConfigError(f"{path} has {len(raw)} bytes; a recipe has at most {MOST_RECIPE_BYTES}")
    try:
        return parse_recipe(raw.decode())
    except (ConfigError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def with_devices(recipe: Recipe, count: int) -> Recipe:
    """Return a recipe with another number of devices, and a text and a name that say so.

    Raises:
        ConfigError: out of range.
    """
    return replace(
        recipe,
        name=f"{recipe.name}-{count}",
        devices=replace(recipe.devices, count=count),
        text=f"{recipe.text}\n# run with --devices {count}\n",
    )


def parse_recipe(text: str) -> Recipe:
    """Return the recipe that a text describes.

    Raises:
        ConfigError: see the module's rules.
    """
    try:
        table: dict[str, Tree] = json.loads(json.dumps(tomllib.loads(text)))
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise ConfigError(f"not TOML that a recipe could be made of: {error}") from None
    if "text" in table:
        raise ConfigError("unknown field 'text'")
    table["text"] = text
    table["schedule"] = _canonical(table.get("schedule", {}), "schedule")
    algorithms = table.get("algorithm", [])
    if isinstance(algorithms, list):
        for place, entry in enumerate(algorithms):
            if isinstance(entry, dict):
                entry["config"] = _canonical(entry.get("config", {}), f"algorithm[{place}].config")
    return from_tree(table, Recipe, defaults=True)


def _canonical(tree: Tree, at: str) -> str:
    if not isinstance(tree, dict):
        raise ConfigError(f"{at} must be a table")
    return json.dumps(tree, sort_keys=True, separators=(",", ":"))


def _once(what: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two {what}s are called {twice[0]!r}; give each a name of its own")
