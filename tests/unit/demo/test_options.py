"""Options that make no sense are refused in one line that says what would."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.demo.options import DemoOptions


def test_the_defaults_are_the_least_cohort_that_survives_a_dropout(tmp_path: Path) -> None:
    options = DemoOptions(out=tmp_path / "new")
    assert (options.devices, options.drop, options.seed) == (4, False, 0)
    assert options.algorithm.names == ("moments", "codream")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"devices": 3, "drop": True}, "three devices tolerate no dropout"),
        ({"devices": 2}, "at least 3"),
        ({"devices": 0}, "at least 3"),
        ({"devices": -1}, "at least 3"),
        ({"devices": 17}, "at most 16"),
        ({"cycles": 0}, "choose 1 to 50"),
        ({"cycles": 51}, "choose 1 to 50"),
        ({"seed": -1}, "choose 0 to"),
        ({"seed": 2**31}, "choose 0 to"),
    ],
)
def test_a_wrong_value_is_refused_with_its_reason(
    tmp_path: Path, changes: dict[str, int | bool], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        DemoOptions(out=tmp_path / "new", **changes)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("--")


@pytest.mark.parametrize("devices", [3, 4, 5, 16])
def test_cohorts_that_can_run_are_taken(tmp_path: Path, devices: int) -> None:
    assert DemoOptions(out=tmp_path / "new", devices=devices).devices == devices


def test_four_devices_may_lose_one(tmp_path: Path) -> None:
    assert DemoOptions(out=tmp_path / "new", devices=4, drop=True).drop


def test_the_folder_must_be_new_or_empty(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert DemoOptions(out=empty).out == empty
    (empty / "something").write_text("here")
    with pytest.raises(ConfigError, match="not empty"):
        DemoOptions(out=empty)
    with pytest.raises(ConfigError, match="this is a file"):
        DemoOptions(out=empty / "something")
    with pytest.raises(ConfigError, match="is a file, so no folder fits below it"):
        DemoOptions(out=empty / "something" / "below")


def test_a_capture_never_overwrites(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("precious")
    with pytest.raises(ConfigError, match="would be overwritten"):
        DemoOptions(out=tmp_path / "new", capture=taken)
    with pytest.raises(ConfigError, match="there is no folder"):
        DemoOptions(out=tmp_path / "new", capture=tmp_path / "nowhere" / "file")
    assert DemoOptions(out=tmp_path / "new", capture=tmp_path / "file").capture is not None
