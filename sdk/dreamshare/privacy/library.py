"""The same conversion by Google's dp-accounting, for whoever wants a second opinion (extra `dp`).

Our own arithmetic is what devices keep their ledgers with; this one composes the same curves and
converts them with a library that others have read. The two agree but for the part of delta that
ours keeps for cut tails (docs/protocol.md 12.6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dreamshare.errors import ConfigError
from dreamshare_crypto.accounting import ORDERS, Charge


def library_epsilon(charges: Iterable[Charge], delta: float) -> float:
    """Return epsilon at `delta` of these noisy sums together, as dp-accounting converts it.

    Raises:
        ConfigError: dp-accounting is not installed.
    """
    try:
        from dp_accounting.rdp import rdp_privacy_accountant
    except ImportError:
        raise ConfigError("dp-accounting is not installed: pip install 'dreamshare[dp]'") from None
    counted = Counter(charges)
    curve = [
        sum(times * charge.divergence(order) for charge, times in counted.items())
        for order in ORDERS
    ]
    found, _ = rdp_privacy_accountant.compute_epsilon(ORDERS, curve, delta)
    return float(found)
