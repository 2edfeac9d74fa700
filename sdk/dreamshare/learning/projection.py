"""Two gradients that oppose each other: the part of one that hurts the other is taken out.

    if <a, b> < 0:   a' = a - (<a, b> / <b, b>) b        so that <a', b> = 0 and |a'| <= |a|

a' is the closest vector to a with <a', b> >= 0 (Lopez-Paz, Ranzato 2017, with one constraint);
"symmetric" is that of Yu et al. 2020.

Rules:
- only two numbers of each pair matter, so every runtime finds the inner products in its own arrays
  and adds a * local + b * global with what `factors` returns;
- it acts on gradients before momentum and weight decay: only there the law holds, to first order.
"""

from __future__ import annotations

from dreamshare.learning.objectives import Projection


def factors(
    projection: Projection, both: float, local: float, public: float
) -> tuple[float, float]:
    """Return (a, b): the gradient of the step is a * g_local + b * g_global.

    Args:
        projection: which of them is protected.
        both: <g_local, g_global>.
        local: <g_local, g_local>.
        public: <g_global, g_global>.
    """
    if both >= 0 or projection == "none":
        return 1.0, 1.0
    # g_local' = g_local - (both / public) g_global, so the other one's factor grows; both < 0 means
    # that neither square is 0 but by underflow.
    less_local = both / public if public > 0 else 0.0
    less_public = both / local if local > 0 else 0.0
    match projection:
        case "protect_global":
            return 1.0, 1.0 - less_local
        case "protect_local":
            return 1.0 - less_public, 1.0
        case "symmetric":
            return 1.0 - less_public, 1.0 - less_local
