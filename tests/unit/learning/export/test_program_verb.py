"""docs/programs.md, top to bottom: a program is written, exported by the verb, and answered."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dreamshare.learning.onnx.bundle import read_bundle
from dreamshare_cli.command import execute
from dreamshare_cli.exits import Exit

GUIDE = Path(__file__).parents[4] / "docs" / "programs.md"
MODEL = """
from torch import nn

def make_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
"""


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the guide's code; its program and a model lie in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMSHARE_EXPORT_CACHE", str(tmp_path / "cache"))
    found = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    Path("logistic.py").write_text(found[0])
    Path("model.py").write_text(MODEL)
    return found


def exporting(*programs: str) -> list[str]:
    model = ["export", "model.py:make_net", "--shape", "1,2,2", "--classes", "3"]
    return model + [part for each in programs for part in ("--program", each)]


def test_the_guide(blocks: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(exporting("logistic.py:LOGISTIC")) == Exit.OK
    assert "logistic/1.hvp" in capsys.readouterr().out
    assert read_bundle(Path("model.dream")).manifest.programs.keys() == {"logistic/1"}
    assert len(blocks) == 2
    names: dict[str, object] = {}
    exec(compile(blocks[1], str(GUIDE), "exec", dont_inherit=True), names)
    data, curved = names["data"], names["curved"]
    x = data["x"]  # type: ignore[index]
    product = 0.25 * x.T @ (x @ np.ones(5))  # at theta 0 every s (1 - s) is 1/4
    np.testing.assert_allclose(curved.products["theta"], product, rtol=1e-10)  # type: ignore[attr-defined]

    Path("logistic.py").write_text(blocks[0].replace("logistic/1", "logistic/2"))
    assert execute(exporting("logistic.py:LOGISTIC")) == Exit.OK
    found = read_bundle(Path("model.dream")).manifest.programs
    assert found.keys() == {"logistic/2"}, "the cache looks at the program's file"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("logistic.py", "is not FILE.py:NAME"),
        ("logistic.py:logistic", "no ProgramSource 'logistic'"),
        ("absent.py:LOSS", "cannot be read"),
    ],
)
def test_mistakes_are_one_line(
    program: str, said: str, blocks: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert blocks
    assert execute(exporting(program)) == Exit.USAGE
    assert said in capsys.readouterr().err
