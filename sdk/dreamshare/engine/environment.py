"""What every process that computes has in its environment: one compute thread.

How many threads a library computes with changes the last bits of its sums. With one thread a
process a result does not depend on the machine, nor on how many processes run beside each other.
"""

from __future__ import annotations

from types import MappingProxyType

ONE_THREAD = MappingProxyType(
    dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
    )
)
"""Read by the libraries when they are loaded; so it is set before a process starts."""
