"""The demo's folder: fresh keys, one settings file a device, nothing shared between devices."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dreamshare.clock import SystemClock
from dreamshare_cli.demo.federation import DemoFederation
from dreamshare_cli.demo.options import DemoOptions
from dreamshare_cli.demo.processes import Child, Children
from dreamshare_cli.demo.runtimes import RuntimeChoice
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity
from dreamshare_edge.config import load_config


class Noted(Children):
    """Starts nothing and notes what would have been."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.commands: dict[str, list[str]] = {}

    async def start(self, name: str, command: Sequence[str]) -> Child:
        self.commands[name] = list(command)
        return Child(name, Path(), None)  # type: ignore[arg-type]


def lay_out(folder: Path) -> DemoFederation:
    options = DemoOptions(
        folder / "out", 3, seed=7, cycles=2, capture=folder / "cap", runtime=RuntimeChoice.MIXED
    )
    return DemoFederation.lay_out(options, SystemClock(), SystemEntropy())


def test_every_device_has_keys_settings_and_files_of_its_own(tmp_path: Path) -> None:
    federation = lay_out(tmp_path)
    ids, places = set(), set()
    for number, device in enumerate(federation.devices):
        config = load_config(device.settings)
        identity = Identity.load(config.identity)
        assert identity.certificate.role == Role.DEVICE
        assert identity.id.hex() == device.id
        assert config.link == federation.link
        assert config.threads == 1
        assert config.learner.settings["device"] == number
        assert config.learner.settings["cycles"] == 2
        assert config.learner.settings["algorithms"] == "all"
        assert config.learner.settings["runtime"] == ("torch", "onnx", "torch")[number]
        assert config.algorithms == ("moments/1", "codream/1", "evaluate/1")
        assert config.policy.least_cohort == 3
        assert config.report is not None
        notes = config.learner.settings["notes"]
        places |= {config.identity.parent, config.store, config.report, notes}
        ids.add(device.id)
    assert len(ids) == 3
    assert len(places) == 4 * 3


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    federation = lay_out(tmp_path)
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0
    keys = list((tmp_path / "out").rglob("*.key"))
    assert len(keys) == 3 + 3  # authority, aggregator, operator; three devices
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)
    assert federation.operator()[1].certificate.role == Role.OPERATOR


async def test_the_processes_are_the_ones_that_anybody_would_start(tmp_path: Path) -> None:
    federation = lay_out(tmp_path)
    noted = Noted()
    await federation.start(noted)
    assert list(noted.commands) == ["aggregator", "device-1", "device-2", "device-3"]
    start = [sys.executable, "-m", "dreamshare_cli"]
    up = noted.commands["aggregator"]
    assert up[:4] == [*start, "up"]
    assert up[up.index("--listen") + 1] == federation.link
    assert up[up.index("--capture") + 1] == str(tmp_path / "cap")
    for device in federation.devices:
        assert noted.commands[device.name] == [
            *start, "agent", "run", "--config", str(device.settings),
        ]  # fmt: skip
