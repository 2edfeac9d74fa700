"""The tutorials, block by block, as a reader types them: in order, in an empty folder.

Rules of a page (docs/tutorials/):
- ```python is run, in one namespace for the page; with title="FILE" it is written to that file;
- ```toml with a title is written, too;
- ```console: a line after `$ ` is typed; with a title each line gets a shell of its own, where it
  stays until the page ends, and what the block shows has been printed before the page goes on;
- lines that are shown, under a command or as ```text after a block, were printed; `...` stands for
  anything;
- `dreamshare-token-1:...` and `TASK` are what was printed last; ports are free ones.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Literal, Self

import pytest
from sybil import Document, Example, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from dreamshare_cli.command import execute
from tests.architecture.packages import ROOT
from tests.services import free_port, tethered

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
FENCE = RawFencedCodeBlockLexer(
    re.compile(r"(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?$\n", re.MULTILINE)
)
TOKEN = re.compile(r"dreamshare-token-1:[\w-]+")
TASK = re.compile(
    r"\b[0-9a-f]{8}(?=  (?:done|running|waiting|paused|cancelled) )|task ([0-9a-f]{8})"
)


class Reader:
    """Somebody who types a page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""  # by the last block
        self.token = self.task = ""
        self.ports = {port: str(free_port()) for port in ("7443", "7444", "7480")}
        self.shells: list[subprocess.Popen[str]] = []
        self.reading: list[threading.Thread] = []
        self.python = PythonEvaluator()

    def __call__(self, document: Document) -> Iterator[Region]:
        """Find the blocks; see `sybil.typing.Parser`."""
        for found in FENCE(document):
            yield Region(found.start, found.end, found.lexemes, self.take)

    def take(self, example: Example) -> None:
        """Type one block."""
        language, title = example.parsed["language"], example.parsed["title"]
        source = example.parsed["source"]
        match language:
            case "python" | "toml" if title:
                path = self.folder / title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.here(str(source)))
            case "python":
                example.parsed = source
                with redirect_stdout(io.StringIO()) as out:
                    self.python(example)
                self.printed = out.getvalue()
            case "console":
                for line, shown in commands(str(source)):
                    self.types(self.here(line), shown, apart=bool(title))
            case "text":
                self.saw(str(source).splitlines())

    def types(self, line: str, shown: list[str], *, apart: bool) -> None:
        words = shlex.split(line, comments=True)
        if words[0] != "dreamshare":
            subprocess.run(words, check=True, timeout=60)
            return
        if not apart:
            with redirect_stdout(io.StringIO()) as out:
                code = execute(words[1:])
            self.note(out.getvalue())
            assert code == 0, f"{line}\n{self.printed}"
            self.saw(shown)
            return
        shell = subprocess.Popen(
            tethered([sys.executable, "-m", "dreamshare_cli", *words[1:]]),
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.shells.append(shell)
        assert shell.stdout is not None
        lines = []
        for pattern in patterns(shown):
            for printed in shell.stdout:
                lines.append(printed)
                if pattern.fullmatch(printed.rstrip()):
                    break
            else:
                raise AssertionError(f"{line} did not print {pattern.pattern}:\n{''.join(lines)}")
        self.note("".join(lines))
        reading = threading.Thread(target=shell.stdout.read, daemon=True)
        reading.start()
        self.reading.append(reading)

    def note(self, printed: str) -> None:
        self.printed = printed
        if found := TOKEN.findall(printed):
            self.token = found[-1]
        if ids := [found[1] or found[0] for found in TASK.finditer(printed)]:
            self.task = ids[-1]

    def saw(self, shown: list[str]) -> None:
        lines = iter(self.printed.splitlines())
        for pattern in patterns(shown):
            assert any(pattern.fullmatch(line.rstrip()) for line in lines), (
                f"not printed, or not in this order: {pattern.pattern}\n{self.printed}"
            )

    def here(self, text: str) -> str:
        text = text.replace("dreamshare-token-1:...", self.token).replace("TASK", self.task)
        return re.sub(r"(?<=:)(7443|7444|7480)\b", lambda port: self.ports[port[1]], text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        for shell in reversed(self.shells):
            shell.send_signal(signal.SIGINT)
        for shell in self.shells:
            try:
                shell.wait(60)
            except subprocess.TimeoutExpired:
                shell.kill()
                shell.wait()
        for reading in self.reading:
            reading.join(60)
        for shell in self.shells:
            if shell.stdout is not None:
                shell.stdout.close()
        return False


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a block with the lines that are shown under it."""
    shown: list[str] = []
    command = ""
    for line in block.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], []
        else:
            shown.append(line)
    yield command, shown


def patterns(shown: list[str]) -> list[re.Pattern[str]]:
    """Return what the lines that a page shows stand for."""
    return [
        re.compile(".*".join(map(re.escape, line.rstrip().split("..."))))
        for line in shown
        if line.strip(" .")
    ]


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """An empty folder to work in; one page at a time is about the usual ports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with (tmp_path_factory.getbasetemp().parent / "usual-ports.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_it_runs(page: Path, folder: Path) -> None:
    with Reader(folder) as reader:
        examples = list(Document.parse(str(page), reader).examples())
        assert len(examples) >= 3
        for example in examples:
            example.evaluate()
        assert all(shell.poll() is None for shell in reader.shells), "a shell's program ended early"


def test_what_was_not_printed_is_noticed(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.printed = "one 1.234\ntwo\n"
    reader.saw(["one ...", "two"])
    for wrong in (["three"], ["two", "one ..."], ["on"]):
        with pytest.raises(AssertionError, match="not printed"):
            reader.saw(wrong)
