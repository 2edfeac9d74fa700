"""docs/embedding.md: its code is run, top to bottom, against a real aggregator."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import numpy as np
import pytest

from dreamshare import Cohort, FedAvgConfig, GrpcListener, Identity, TlsFiles
from dreamshare_aggregator import Aggregator, open_store
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_edge import Policy
from dreamshare_edge.sample import SampleLearner
from dreamshare_edge.store import FileStore

pytestmark = pytest.mark.integration

GUIDE = Path(__file__).parents[2] / "docs" / "embedding.md"


async def test_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{n},0,9.8,{'ab'[n // 30]},{'walk' if n % 40 < 25 else 'run'}" for n in range(60)]
    (tmp_path / "walks.csv").write_text("x,y,z,who,activity\n" + "\n".join(rows) + "\n")
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, object] = {}
    for block in blocks:
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
        apps = [
            asyncio.create_task(learn(link, str(tmp_path / name), names["conditions"]))  # type: ignore[operator]
            for name in "abc"
        ]
        parameters = {n: np.asarray(a) for n, a in SampleLearner().parameters().items()}
        config = FedAvgConfig.of_model(parameters, 10)
        task = await aggregator.submit(config, Cohort(least=3, most=3))
        assert (await task.result()).status.secure_aggregation
        told = await asyncio.gather(*apps)
    assert all("is closed" in "\n".join(lines) for lines in told)
