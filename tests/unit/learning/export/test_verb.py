"""`dreamshare export`: files, cache, figures as JSON, refusals as one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dreamshare.learning.onnx.bundle import read_bundle
from dreamshare_cli.command import execute
from dreamshare_cli.exits import Exit

MODEL = """
from torch import nn

def make_net():
    import torch
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        body = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True)
        return nn.Sequential(nn.Flatten(), *body, nn.Linear(6, 3))

def wide(width, depth=2):
    return nn.Linear(width, 3)

def broken():
    return {}["weights"]

def number():
    return 3
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DREAMSHARE_EXPORT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return path


def test_exports_checks_and_finds_it_again(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "net.dream"
    arguments = ["export", f"{model}:make_net", "--shape", "1,2,2", "--classes", "3"]
    arguments += ["--out", str(out), "--mean", "0.5", "--deviation", "0.25", "--json"]
    assert execute(arguments) == Exit.OK
    first = json.loads(capsys.readouterr().out)
    manifest = read_bundle(out).manifest
    assert (manifest.shape, manifest.classes, manifest.name) == ((1, 2, 2), 3, "net")
    assert manifest.normalisation.mean == (0.5,)
    assert first["graphs"].keys() == manifest.graphs.keys()
    assert not first["cached"]

    content = out.read_bytes()
    assert execute(arguments) == Exit.OK
    assert json.loads(capsys.readouterr().out)["cached"]
    assert out.read_bytes() == content

    assert execute(["export", "--check", str(out)]) == Exit.OK
    assert "train_adam" in capsys.readouterr().out
    out.write_bytes(content[:-50])
    assert execute(["export", "--check", str(out)]) == Exit.USAGE
    assert "not a bundle" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name the model"),
        (["net.py", "--shape", "4", "--classes", "3"], "is not FILE.py:FUNCTION"),
        (["absent.py:f", "--shape", "4", "--classes", "3"], "cannot be read"),
        (["MODEL:f", "--shape", "4", "--classes", "3"], "no function 'f'"),
        (["MODEL:make_net", "--shape", "4,", "--classes", "3"], "numbers with commas"),
        (["MODEL:wide", "--shape", "4", "--classes", "3"], "needs arguments (width)"),
        (["MODEL:broken", "--shape", "4", "--classes", "3"], "fails (KeyError: 'weights')"),
        (["MODEL:number", "--shape", "4", "--classes", "3"], "returned int"),
        (["MODEL:make_net", "--shape", "1,2,2", "--classes", "4"], "returns 3 logits"),
        (["MODEL:make_net", "--shape", "5", "--classes", "3"], "--shape"),
        (["MODEL:make_net", "--shape", "0", "--classes", "3"], "sizes >= 1"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], said: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [each.replace("MODEL", str(model)) for each in arguments]
    assert execute(["export", *given]) == Exit.USAGE
    assert said in capsys.readouterr().err
