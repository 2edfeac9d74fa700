"""Class-wise means and covariances: summed on devices, turned into a labelled set by anybody.

    space = Space((1, 28, 28), low=0.0, high=1.0)
    basis = cosines((1, 28, 28), 64)                      # or pixels(784), or sketched(...)
    made = Gaussians(means, covariances, residual, basis)  # of sums
    u_ND = made.draw(label=3, count=100, seed=7)

Rules:
- numpy alone: a device sums and draws without any net;
- everything is in the unit space of `spaces`, where a value lies in [-1, 1].
"""

from __future__ import annotations

from dreamshare.learning.moments.bases import (
    Basis,
    cosines,
    flattened,
    packed_basis,
    pixels,
    repeated,
    unpacked_basis,
)
from dreamshare.learning.moments.filtering import Filtered, Noisy, filtered
from dreamshare.learning.moments.gaussians import Gaussians
from dreamshare.learning.moments.maps import (
    FARTHEST,
    FeatureMaps,
    feature_maps,
    match,
    size_of_map,
)
from dreamshare.learning.moments.releasing import Release, Sums, deviations, over_weights, rows_of
from dreamshare.learning.moments.sketching import Sketch, sketched, test_matrix
from dreamshare.learning.moments.spaces import (
    Space,
    packed_size,
    products,
    symmetric,
    symmetric_blocks,
    upper,
)

__all__ = (
    "Basis",
    "FARTHEST",
    "FeatureMaps",
    "Filtered",
    "Gaussians",
    "Noisy",
    "Release",
    "Sketch",
    "Space",
    "Sums",
    "cosines",
    "deviations",
    "feature_maps",
    "filtered",
    "flattened",
    "match",
    "over_weights",
    "symmetric_blocks",
    "packed_basis",
    "packed_size",
    "pixels",
    "products",
    "repeated",
    "rows_of",
    "size_of_map",
    "sketched",
    "symmetric",
    "test_matrix",
    "unpacked_basis",
    "upper",
)
