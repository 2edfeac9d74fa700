"""Settings that every test shares: one compute thread a process, the same examples every time.

Rules:
- tests assert behaviour, never wall time; hypothesis has no deadline and draws the same examples on
  every machine (`make test-long` looks for new ones);
- fixtures live beside the tests that use them; those of system services are `tests.services`' and
  its neighbours'.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Before anything imports numpy or torch: pytest-xdist already uses the cores.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

settings.register_profile(
    "same",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "search", parent=settings.get_profile("same"), derandomize=False, max_examples=1000
)
settings.load_profile("same")

pytest_plugins = ("tests.postgres", "tests.mosquitto")
