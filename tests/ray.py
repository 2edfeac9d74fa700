"""Ray for tests: `make test` installs it; where it cannot be had, a test is skipped and says so."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Protocol

import pytest

from tests.services import REQUIRED


def need_ray() -> None:
    """Skip the test, or fail it in CI, where Ray is not installed."""
    if find_spec("ray") is not None:
        return
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"needs Ray, and {REQUIRED}=required", pytrace=False)
    pytest.skip("needs Ray: pip install 'dreamshare[ray]' (it has no wheels for every system)")


class Cluster(Protocol):
    """What tests use of Ray's."""

    address: str

    def add_node(self, *, num_cpus: int, resources: Mapping[str, int]) -> object: ...

    def remove_node(self, node: object, allow_graceful: bool) -> None: ...


@contextmanager
def cluster_of_two(resources: Mapping[str, int]) -> Iterator[tuple[Cluster, object]]:
    """Run a head that computes nothing and two nodes of one core; give the second node, too."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        nodes = [made.add_node(num_cpus=1, resources=resources) for _ in range(2)]
        made.wait_for_nodes()
        yield made, nodes[1]
    finally:
        made.shutdown()
