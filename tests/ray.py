"""Ray for tests: `make test` installs it; where it cannot be had, a test is skipped and says so."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from tests.services import REQUIRED


def need_ray() -> None:
    """Skip the test, or fail it in CI, where Ray is not installed."""
    if find_spec("ray") is not None:
        return
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"needs Ray, and {REQUIRED}=required", pytrace=False)
    pytest.skip("needs Ray: pip install 'dreamshare[ray]' (it has no wheels for every system)")
