"""docs/embedding.md: its code and settings are run, top to bottom, against a real aggregator.

Three devices: an app with a loop of its own, a plain script, and a program by settings alone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import shutil
import signal
from pathlib import Path

import pytest

from dreamshare import Cohort, FedAvgConfig, GrpcListener, Identity, OnnxLearner, TlsFiles
from dreamshare.settings import read_settings
from dreamshare_aggregator import Aggregator, open_store
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_edge import Policy
from dreamshare_edge.config import AgentConfig
from dreamshare_edge.store import FileStore
from tests.integration.bundles import small_bundle, write_arrays
from tests.integration.children import child

pytestmark = pytest.mark.integration

GUIDE = Path(__file__).parents[2] / "docs" / "embedding.md"
LINK = "grpcs://aggregator.example:7443"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)


async def test_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{n},0,9.8,{'ab'[n // 30]},{'walk' if n % 40 < 25 else 'run'}" for n in range(60)]
    (tmp_path / "walks.csv").write_text("x,y,z,who,activity\n" + "\n".join(rows) + "\n")
    (tmp_path / "net.dream").write_bytes(small_bundle().to_bytes())
    write_arrays(tmp_path / "examples.npz", 60, 1)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, str(GUIDE), "exec", dont_inherit=True), names)
    series, learn, allowed = names["series"], names["learn"], names["allowed"]
    assert len(series) > 0  # type: ignore[arg-type]
    assert names["database"].held_out().x_NCHW.shape == (4, 1, 8, 8)  # type: ignore[attr-defined]
    folder = FederationFolder(tmp_path / "federation")
    folder.create()
    for name in "abc":
        (tmp_path / name).mkdir(mode=0o700)
        folder.issue(Role.DEVICE, name, tmp_path / name / "device.key")
    identity = Identity.load(folder.aggregator)
    with FileStore(tmp_path / "other") as store:
        device = Identity.load(tmp_path / "a" / "device.key")
        policy: Policy = allowed(device, store, tmp_path / "none")  # type: ignore[operator]
        assert policy == names["policy"]
    listener = GrpcListener("127.0.0.1:0", TlsFiles.of(identity))
    async with Aggregator([listener], open_store("sqlite://"), identity) as aggregator:
        link = f"grpcs://127.0.0.1:{listener.port}"
        settings = settings_alone(tmp_path / "c", link)
        plain = asyncio.to_thread(names["plain_script"], link, str(tmp_path / "b"))  # type: ignore[arg-type]
        apps = [
            asyncio.create_task(learn(link, str(tmp_path / "a"), names["conditions"])),  # type: ignore[operator]
            asyncio.create_task(plain),
        ]
        async with child("tests.integration.torchless", "--json", "--config", settings) as program:
            parameters = OnnxLearner(names["bundle"]).parameters()  # type: ignore[arg-type]
            config = FedAvgConfig.of_model(parameters, 10)
            config = dataclasses.replace(config, rounds=2, fit_steps=4)
            task = await aggregator.submit(config, Cohort(least=3, most=3))
            assert (await task.result()).status.secure_aggregation
            told = await asyncio.gather(*apps)
            assert (await program.event("task-over"))["outcome"] == "done"
            assert await program.end(signal.SIGTERM) == 0
    assert all("is closed" in "\n".join(lines) for lines in told)


def settings_alone(home: Path, link: str) -> str:
    """Write the guide's first settings file for a device; return where."""
    for name in ("net.dream", "examples.npz"):
        shutil.copy(home.parent / name, home)
    text = blocks("toml")[0]
    assert LINK in text
    (home / "agent.toml").write_text(text.replace(LINK, link), encoding="utf-8")
    return str(home / "agent.toml")


def test_every_settings_file_of_the_guide_is_read() -> None:
    arrays, table = (read_settings(AgentConfig, text, source="guide") for text in blocks("toml"))
    assert arrays.data.arrays == Path("examples.npz")
    assert (table.data.window, table.data.stride) == (16, 8)
