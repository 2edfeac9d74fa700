"""docs/exporting.md: its commands and its model are run; its tables are what the tests give."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dreamshare.learning.onnx.bundle import read_bundle
from dreamshare_cli.command import execute
from dreamshare_cli.exits import Exit

ROOT = Path(__file__).parents[4]
GUIDE = (ROOT / "docs" / "exporting.md").read_text()


def test_the_guides_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMSHARE_EXPORT_CACHE", str(tmp_path / "cache"))
    (source,) = re.findall(r"```python\n(# nets\.py\n.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "nets.py").write_text(source)
    commands = re.findall(r"(?m)^dreamshare (export .*)$", GUIDE)
    assert len(commands) == 4
    for command in commands:
        assert execute(shlex.split(command)) == Exit.OK, capsys.readouterr().err
    plain, small = (read_bundle(tmp_path / f"{name}.dream") for name in ("net", "small"))
    assert plain.manifest.normalisation.mean == (0.5,)
    assert "logits_int8" in small.manifest.graphs
    assert read_bundle(tmp_path / "walks.dream").manifest.shape == (3, 8)


def test_every_option_of_the_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    execute(["export", "--help"])
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help", "--out"}
    assert {name for name in options if f"`{name}" not in GUIDE} == set()


def test_the_tables_are_those_of_tests_and_results() -> None:
    found = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "exports"), "--check"],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert found.returncode == 0, found.stdout + found.stderr
