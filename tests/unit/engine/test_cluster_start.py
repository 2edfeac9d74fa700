"""A cluster that does not come up: begun again on this machine, told in words elsewhere."""

from __future__ import annotations

import pytest

from dreamshare.errors import Unreachable
from tests.ray import need_ray


class Starting:
    """Ray's `init`, which fails so many times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked: list[str] = []

    def __call__(self, *, address: str, **_: object) -> None:
        self.asked.append(address)
        if len(self.asked) <= self.failures:
            raise Exception("The current node timed out during startup.")


@pytest.mark.parametrize(
    ("address", "failures", "asked"),
    [("", 1, ["local", "local"]), ("", 2, ["local", "local"]), ("10.0.0.5:6379", 1, None)],
)
def test_a_start_that_fails_is_tried_once_more_on_this_machine(
    address: str, failures: int, asked: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_ray()
    from dreamshare.engine import cluster

    start = Starting(failures)
    monkeypatch.setattr(cluster.ray, "init", start)
    if failures < 2 and not address:
        assert cluster.RayBackend(address, 2).at_once == 2
    else:
        with pytest.raises(Unreachable, match="no Ray cluster at .*timed out during startup"):
            cluster.RayBackend(address, 2)
    assert start.asked == (asked or [address])
