"""`GaussianGenerator`: each class one Gaussian over low frequencies, from sums alone.

    told = Moments.of_sums(counts_K, sums_KCFF, squares_KCFF)
    generator = GaussianGenerator(told, (1, 28, 28), low=0.0, high=1.0)

Shape legend: M requests, K classes, C channels, H height, W width, F frequencies.

Rules:
- frequencies are taken to be independent: the cosine transform nearly makes them so;
- no training and no framework: a device can make the set itself from the same sums.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats
from dreamshare.learning.generators.base import Provenance, Request
from dreamshare.learning.generators.cosine import Cosine, Doubles
from dreamshare.learning.public import PublicSet

LEAST_COUNT = 0.5
"""A class with less than half an example is an empty one and rounding."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and standard deviation of every frequency in every class.

    Attributes:
        mean_KCFF: means.
        spread_KCFF: standard deviations, >= 0.
        trained_on: digest of the public set that they are from; "" for sums of devices.
    """

    mean_KCFF: Doubles
    spread_KCFF: Doubles
    trained_on: str = ""

    def __post_init__(self) -> None:
        mean, spread = self.mean_KCFF, self.spread_KCFF
        fits = mean.ndim == 4 and mean.shape == spread.shape and mean.shape[2] == mean.shape[3]
        if not (fits and np.isfinite(mean).all() and np.isfinite(spread).all()):
            raise ConfigError("moments are two finite arrays of one shape (K, C, F, F)")
        if (spread < 0).any():
            raise ConfigError("a standard deviation is negative")

    @classmethod
    def of_sums(cls, counts_K: Doubles, sums_KCFF: Doubles, squares_KCFF: Doubles) -> Moments:
        """Return the moments of classes from their counts, sums and sums of squares.

        What rounding or noise makes of a variance below 0 is 0; an empty class has zeros.
        """
        known_K = counts_K >= LEAST_COUNT
        per_K111 = np.where(known_K, counts_K, 1.0)[:, None, None, None]
        mean = np.where(known_K[:, None, None, None], sums_KCFF / per_K111, 0.0)
        square = np.where(known_K[:, None, None, None], squares_KCFF / per_K111, 0.0)
        return cls(mean, np.sqrt(np.maximum(square - mean**2, 0.0)))

    @classmethod
    def of_public(cls, public: PublicSet, classes: int, frequencies: int) -> Moments:
        """Return the moments of a public set; raises ConfigError where it has no classes."""
        if public.y_N is None or public.x_NCHW.ndim != 4:
            raise ConfigError("moments need pictures (N, C, H, W) with their classes")
        _, channels, height, width = public.x_NCHW.shape
        e_NCFF = Cosine((channels, height, width), frequencies).embed(public.x_NCHW)
        onehot_NK = np.eye(classes)[public.y_N]
        sums, squares = (np.einsum("nk,ncfg->kcfg", onehot_NK, e) for e in (e_NCFF, e_NCFF**2))
        found = cls.of_sums(onehot_NK.sum(axis=0), sums, squares)
        return cls(found.mean_KCFF, found.spread_KCFF, public.digest)

    def save(self, path: Path | str) -> None:
        """Write a NumPy file; raises OSError."""
        with Path(path).open("wb") as file:
            np.savez(
                file,
                mean=self.mean_KCFF,
                spread=self.spread_KCFF,
                trained_on=np.frombuffer(self.trained_on.encode(), np.uint8),
            )


def load_moments(path: Path | str) -> Moments:
    """Return what `Moments.save` wrote; ConfigError where it is another file."""
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            trained_on = stored["trained_on"].tobytes().decode()
            mean, spread = stored["mean"], stored["spread"]
    except (OSError, ValueError, EOFError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} holds no moments ({error})") from None
    return Moments(mean.astype(np.float64), spread.astype(np.float64), trained_on)


class GaussianGenerator:
    """See the module's docstring.

    Args:
        moments: of the classes.
        shape: (C, H, W) of a picture.
        low, high: range of its values.
        digest: of the file that the moments are from; "" for sums of devices.
    """

    def __init__(
        self,
        moments: Moments,
        shape: tuple[int, int, int],
        low: float,
        high: float,
        digest: str = "",
    ) -> None:
        self._moments = moments
        self._cosine = Cosine(shape, moments.mean_KCFF.shape[3])
        if moments.mean_KCFF.shape[1:] != self._cosine.size:
            raise ConfigError(f"these moments are not those of pictures of shape {shape}")
        self._low, self._high = low, high
        self._digest = digest

    def generate(self, requests: Sequence[Request]) -> Floats:
        size = self._cosine.size
        classes = len(self._moments.mean_KCFF)
        e_MCFF = np.zeros((len(requests), *size))
        for i, request in enumerate(requests):
            if request.label >= classes:
                raise ConfigError(f"class {request.label} is asked for; there are {classes}")
            drawn_CFF = request.rng().standard_normal(size)
            spread_CFF = self._moments.spread_KCFF[request.label]
            e_MCFF[i] = self._moments.mean_KCFF[request.label] + spread_CFF * drawn_CFF
        return np.clip(self._cosine.picture(e_MCFF), self._low, self._high)

    def info(self) -> Provenance:
        return Provenance("gaussian", self._digest, self._moments.trained_on)
