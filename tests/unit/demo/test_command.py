"""The verb: what it refuses before anything heavy is imported or started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dreamshare_cli.command import execute


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--devices", "3", "--drop"], "three devices tolerate no dropout"),
        (["--devices", "2"], "at least 3 are needed"),
        (["--devices", "99"], "at most 16"),
        (["--devices", "many"], "--devices"),
        (["--cycles", "0"], "--cycles 0"),
        (["--seed", "-5"], "--seed -5"),
        (["--nonsense"], "--nonsense"),
        (["--runtime", "tensorflow"], "--runtime"),
        (["--algorithm", "fedavg"], "--algorithm"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["demo", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert reason in err
    assert list(tmp_path.iterdir()) == []


def test_the_demo_itself_computes_nothing_and_loads_no_framework() -> None:
    probe = (
        "import sys, dreamshare_cli.demo.running; "
        "print([m for m in ('torch', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
