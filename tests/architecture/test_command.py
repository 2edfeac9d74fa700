"""The command's surface: its verbs are pinned, each explains itself, help costs no framework."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

import pytest
import typer

from dreamshare import __version__
from dreamshare_cli.command import build

VERBS = {
    "agent config",
    "agent doctor",
    "agent join",
    "agent keys",
    "agent run",
    "bench",
    "broker config",
    "demo",
    "enrol accept",
    "enrol aggregator",
    "enrol approve",
    "enrol authority",
    "enrol device",
    "enrol export",
    "enrol import",
    "enrol list",
    "enrol operator",
    "enrol pending",
    "enrol refuse",
    "enrol renew",
    "enrol request",
    "enrol revocations",
    "enrol revoke",
    "enrol token",
    "enrol withdraw",
    "export",
    "history",
    "plan",
    "policy key",
    "policy show",
    "policy sign",
    "run artifacts",
    "run cancel",
    "run devices",
    "run list",
    "run pause",
    "run resume",
    "run result",
    "run submit",
    "run watch",
    "shard",
    "store backup",
    "store check",
    "store migrate",
    "store restore",
    "up",
}


class Command(Protocol):
    """What every release of the parser says of a command."""

    help: str | None
    params: Sequence[typer.core.TyperOption]


def verbs(command: Command, path: str = "") -> dict[str, Command]:
    """Return every leaf of a command, by the words that lead to it."""
    children: Mapping[str, Command] | None = getattr(command, "commands", None)
    if children is None:
        return {path: command}
    return {
        words: leaf
        for name, child in children.items()
        for words, leaf in verbs(child, f"{path} {name}".strip()).items()
    }


LEAVES = verbs(typer.main.get_command(build()))


def dreamshare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "dreamshare_cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_verbs_are_pinned() -> None:
    assert set(LEAVES) == VERBS


@pytest.mark.parametrize("words", sorted(LEAVES))
def test_each_verb_and_each_option_says_what_it_does(words: str) -> None:
    leaf = LEAVES[words]
    assert leaf.help
    silent = [p.name for p in leaf.params if p.param_type_name == "option" and not p.help]
    assert silent == []


def test_the_version_is_the_librarys() -> None:
    answer = dreamshare("--version")
    assert (answer.returncode, answer.stdout) == (0, f"dreamshare {__version__}\n")


def test_a_mistake_is_one_line_and_no_traceback() -> None:
    answer = dreamshare("dream")
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_a_missing_extra_is_named() -> None:
    script = (
        "import sys\nsys.modules['typer'] = None\nfrom dreamshare_cli.__main__ import main\nmain()"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 1
    assert answer.stderr == ("dreamshare: the command needs typer: pip install 'dreamshare[cli]'\n")


def test_help_costs_no_framework() -> None:
    script = (
        "import sys\nfrom dreamshare_cli.command import execute\nexecute(['--help'])\n"
        "print(sorted({'torch', 'grpc', 'sqlalchemy', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    assert answer.stdout.splitlines()[-1] == "[]"
