"""What a generator of examples is: requests in, one picture each, the same whatever the batch.

    pictures = generator.generate(requests_of(seed=7, counts={0: 50, 3: 50}))

Shape legend: M requests, C channels, H height, W width, K classes.

Rules:
- row i depends on request i alone: every picture has a seed of its own, so neither the size of a
  batch nor what else was asked for changes it (beyond the rounding of floating-point sums);
- a generator is told nothing of single examples: requests are made of sums;
- what it was trained on must not hold the devices' own examples, or it has them all;
  `Provenance` says what it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats

LOADED = (".json", ".model", ".safetensors", ".txt")
"""Endings of the files that are loaded of a folder of weights; nothing else of it matters."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """One picture that is wanted.

    Attributes:
        label: its class, >= 0.
        seed: of this picture, 0 to 2^63 - 1.
        words: which words of the attribute vocabulary it is to have; often none.
        text: the same as a sentence, for generators that read.
    """

    label: int
    seed: int
    words: tuple[int, ...] = ()
    text: str = ""

    def __post_init__(self) -> None:
        if self.label < 0 or self.seed < 0 or any(word < 0 for word in self.words):
            raise ConfigError("a request's class, seed and words are numbers from 0")

    def rng(self) -> np.random.Generator:
        """Return this picture's own random numbers."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a generator comes from, for people.

    Attributes:
        kind: "gaussian", "flow" or "diffusers".
        digest: SHA-256 of its weights in hex; "" where it has none.
        trained_on: digest of the public set that it learnt from, or what its owner says.
    """

    kind: str
    digest: str = ""
    trained_on: str = ""


@runtime_checkable
class Generator(Protocol):
    """See the module's docstring."""

    def generate(self, requests: Sequence[Request]) -> Floats:
        """Return pictures (M, C, H, W) in the models' input range; ConfigError where it cannot."""
        ...

    def info(self) -> Provenance:
        """Return where it comes from."""
        ...


def seed_of(seed: int, label: int, number: int) -> int:
    """Return the seed of picture `number` of a class, 0 to 2^63 - 1."""
    high, low = np.random.SeedSequence([seed, label, number]).generate_state(2, np.uint32)
    return (int(high) << 32 | int(low)) >> 1


def requests_of(seed: int, counts: Mapping[int, int]) -> tuple[Request, ...]:
    """Return `counts[label]` requests of each class, classes in ascending order."""
    return tuple(
        Request(label, seed_of(seed, label, number))
        for label in sorted(counts)
        for number in range(counts[label])
    )


def digest_of(path: Path | str) -> str:
    """Return the hex SHA-256 of a file, or of a folder's `LOADED` files: names and contents.

    Raises:
        ConfigError: there is no such file, no folder with such files, or it cannot be read.
    """
    root = Path(path)
    found = hashlib.sha256()
    try:
        if root.is_file():
            _take(found, root)
            return found.hexdigest()
        files = sorted(each for each in root.rglob("*") if each.is_file())
        files = [each for each in files if each.suffix in LOADED]
        if not files:
            raise ConfigError(f"there are no weights at {root}")
        for file in files:
            found.update(f"{file.relative_to(root).as_posix()}\n{file.stat().st_size}\n".encode())
            _take(found, file)
    except OSError as error:
        raise ConfigError(f"the weights at {root} cannot be read ({error})") from None
    return found.hexdigest()


def checked(path: Path | str, digest: str) -> Path:
    """Return the path of weights whose digest is right.

    Raises:
        ConfigError: they are others, or there are none.
    """
    found = digest_of(path)
    if found != digest:
        raise ConfigError(f"the weights at {path} have the digest {found}, not {digest!r}")
    return Path(path)


def _take(found: hashlib._Hash, file: Path) -> None:
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            found.update(chunk)
