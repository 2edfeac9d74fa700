"""Sets of examples that every device of a task holds: seed sets, public inputs.

    PublicSet(x_NCHW, y_N, domains_N).save("seeds.npz")
    data = SharingData(own, [load_public("seeds.npz")])    # what the device's owner gives the agent

A task can make one, too: the set that `moments/1` draws. Its devices keep it where the task says so
(`keep_pictures`), and `public_of` makes the same set of the task's result.

Shape legend: N examples, C channels, H height, W width.

Rules:
- a task names a set by its digest alone: the aggregator needs no copy of it, and a device that
  holds another one, or the same in another order, declines;
- how a set came to the devices is no business of the protocol; whoever gives real examples into
  one has disclosed them to everybody who holds it;
- a file is read without pickle, and within limits;
- what a device keeps is in its learner's memory, so in its snapshot: one set, the newest, as bytes.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Floats, Ints, Learner, Remembers
from dreamshare.payloads.pixels import unpacked
from dreamshare.updates import PublicArray

MOST_EXAMPLES = 1_000_000
Doubles = NDArray[np.float64]

KEPT = "public."
"""Before the names of what a learner keeps of a set."""

SIZES = {"seed_set": "seeds", "public_set": "inputs"}
"""Fields of configs that name a set by its digest, and those that say how many inputs it has."""

HELD = "kept"
"""Metric, 1, of a task whose devices keep the set that they learnt from."""

PICTURES = ("images", "labels", "low", "high")
"""Arrays of which a set of pictures is made: bytes (M, C, H, W), classes (M,), and the ends of each
channel's range (C,)."""

_HEAD = b"dreamshare public set 1\n"


@dataclass(frozen=True, slots=True)
class PublicSet:
    """Inputs in a public order.

    Attributes:
        x_NCHW: float32, in the models' normalised input space.
        y_N: their classes, int64 and >= 0, or None.
        domains_N: the domain that each is from, int64 and >= 0, or None.
    """

    x_NCHW: Floats
    y_N: Ints | None = None
    domains_N: Ints | None = None

    def __post_init__(self) -> None:
        count = len(self.x_NCHW)
        if not 1 <= count <= MOST_EXAMPLES or self.x_NCHW.ndim < 2:
            raise ConfigError(f"a public set holds 1 to {MOST_EXAMPLES} inputs")
        if self.x_NCHW.dtype != np.float32 or not np.isfinite(self.x_NCHW).all():
            raise ConfigError("the inputs of a public set must be finite float32")
        for name in ("y_N", "domains_N"):
            array = getattr(self, name)
            if array is not None and not (
                array.dtype == np.int64 and array.shape == (count,) and (array >= 0).all()
            ):
                raise ConfigError(f"{name} must hold {count} whole numbers (int64), each >= 0")

    def __len__(self) -> int:
        return len(self.x_NCHW)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of shapes and contents, order included; independent of machine and file."""
        found = hashlib.sha256(_HEAD)
        for array in (self.x_NCHW, self.y_N, self.domains_N):
            if array is None:
                found.update(b"none\n")
                continue
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            found.update(f"{little.dtype.str} {little.shape}\n".encode())
            found.update(little.tobytes())
        return found.hexdigest()

    def batch(self) -> Batch:
        """Return all of it."""
        return Batch(self.x_NCHW, self.y_N)

    def save(self, path: Path | str) -> None:
        """Write a NumPy file; raises OSError."""
        none_N = np.zeros(0, np.int64)
        y_N = none_N if self.y_N is None else self.y_N
        domains_N = none_N if self.domains_N is None else self.domains_N
        with Path(path).open("wb") as file:
            np.savez(file, x=self.x_NCHW, y=y_N, domains=domains_N)


def load_public(path: Path | str) -> PublicSet:
    """Return what `PublicSet.save` wrote, or the set in the file of a task's result (`public_of`).

    Raises:
        ConfigError: there is no such file, or it is another one.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = ("x", "y", "domains") if "x" in stored else PICTURES
            arrays = {name: stored[name] for name in names if name in stored}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise ConfigError(f"public set {path}: {error}") from None
    if len(arrays) == len(PICTURES):
        return public_of(arrays)
    if "x" not in arrays:
        raise ConfigError(f"public set {path}: there is no array x")
    none_N = np.zeros(0, np.int64)
    y_N, domains_N = (arrays.get(name, none_N) for name in ("y", "domains"))
    return PublicSet(arrays["x"], y_N if len(y_N) else None, domains_N if len(domains_N) else None)


class SharingData:
    """A device's own examples, with the public sets that it holds.

    Args:
        data: its own examples.
        sets: public ones.
        domain: which domain its own examples are from, >= 0, where it knows; it never leaves the
            device.
    """

    def __init__(self, data: Data, sets: Sequence[PublicSet], domain: int | None = None) -> None:
        if domain is not None and domain < 0:
            raise ConfigError(f"domain is {domain}; it must be 0 or more")
        self._data = data
        self._sets = {one.digest: one for one in sets}
        self.domain = domain

    def __len__(self) -> int:
        return len(self._data)

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Batch]:
        return self._data.batches(rng, size)

    def class_counts(self, classes: int) -> Ints:
        return self._data.class_counts(classes)

    def held_out(self) -> Batch:
        return self._data.held_out()

    @property
    def captioned(self) -> object:
        """Captions of the data, where their owner has given some (`learning.captioned`)."""
        return getattr(self._data, "captioned", None)

    def public(self, digest: str) -> PublicSet | None:
        """Return the set with this digest; None where the device does not hold it."""
        return self._sets.get(digest)


def pictures_of(
    images_MCHW: NDArray[np.uint8], labels_M: Ints, low_C11: Doubles, high_C11: Doubles
) -> dict[str, PublicArray]:
    """Return the arrays that `public_of` makes a set of."""
    ends = {"low": low_C11.reshape(-1), "high": high_C11.reshape(-1)}
    return {"images": images_MCHW, "labels": labels_M, **ends}


def public_of(arrays: Mapping[str, PublicArray]) -> PublicSet:
    """Return the set that a task's result has in it, the same one wherever it is made.

    Raises:
        ConfigError: these are arrays of another kind.
    """
    if missing := [name for name in PICTURES if name not in arrays]:
        raise ConfigError(
            f"no public set is in these arrays: {', '.join(missing)} missing; the result of "
            "moments/1 has one"
        )
    images, labels, low, high = (arrays[name] for name in PICTURES)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ConfigError("the images of a public set are bytes (M, C, H, W)")
    low_C11, high_C11 = (end.astype(np.float64)[:, None, None] for end in (low, high))
    return PublicSet(unpacked(images, low_C11, high_C11), labels.astype(np.int64))


def kept_by_devices(arrays: Mapping[str, PublicArray], metrics: Mapping[str, float]) -> PublicSet:
    """Return the set in a task's result that its devices keep.

    Raises:
        ConfigError: these are arrays of another kind, or the task had its devices keep nothing.
    """
    found = public_of(arrays)
    if not metrics.get(HELD):
        raise ConfigError(
            "the devices of this task keep no set: they would decline a task that names it. Run "
            'moments/1 with told = "set" and keep = true; or give owners the file of its result '
            f"for [data] public, and name the set in the config by its digest: {found.digest}"
        )
    return found


def naming(public: PublicSet, fields: Collection[str]) -> dict[str, str | int]:
    """Return what a config with these fields says of a set: digest and size.

    Raises:
        ConfigError: it has no field for one.
    """
    found: dict[str, str | int] = {}
    for name, size in SIZES.items():
        if name in fields:
            found |= {name: public.digest, size: len(public)}
    if not found:
        raise ConfigError("this algorithm takes no public set; fedh2l/1 and consensus/1 do")
    return found


def keep_pictures(learner: Learner, arrays: Mapping[str, PublicArray]) -> None:
    """Let a learner keep what `public_of` takes, instead of the set that it kept before.

    Raises:
        ConfigError: these are arrays of another kind, or the learner keeps none.
    """
    if not isinstance(learner, Remembers):
        raise ConfigError("this device's learner keeps no arrays, so no public set either")
    public_of(arrays)
    others = {n: array for n, array in learner.memory().items() if not n.startswith(KEPT)}
    learner.remember(others | {f"{KEPT}{name}": arrays[name] for name in PICTURES})


def public_set(data: Data, digest: str, size: int, learner: object = None) -> PublicSet:
    """Return a public set that a task names.

    Args:
        data: which may hold it.
        digest: of the set.
        size: how many inputs it has.
        learner: which may have kept it.

    Raises:
        ConfigError: neither has such a set, or it has another size.
    """
    find = getattr(data, "public", None)
    found = find(digest) if callable(find) else None
    if found is None:
        found = _kept(learner, digest)
    if not isinstance(found, PublicSet):
        raise ConfigError(
            f"this task needs the public set {digest[:12]}..., which this device does not hold; "
            "its owner names it in [data] public, or gives the agent SharingData; a set that "
            "moments/1 drew is kept by the devices that learnt from it, where its config says so"
        )
    if len(found) != size:
        raise ConfigError(f"the public set has {len(found)} inputs; the task says {size}")
    return found


def _kept(learner: object, digest: str) -> PublicSet | None:
    if not isinstance(learner, Remembers):
        return None
    memory = learner.memory()
    arrays = {name: memory[KEPT + name] for name in PICTURES if KEPT + name in memory}
    found = public_of(arrays) if len(arrays) == len(PICTURES) else None
    return found if found is not None and found.digest == digest else None


def domain_of(data: Data) -> int | None:
    """Return which domain a device's own examples are from; None where it does not say."""
    domain = getattr(data, "domain", None)
    return domain if isinstance(domain, int) else None
