"""Code on pages that no reader's test types: it is well formed, and calls what there is.

Pages whose code is run as it stands are the tutorials (`tests/integration/test_tutorials.py`), and
those that a test of their own names: embedding, autodiff, programs, exporting.

Rules: a name that a block calls is imported by it, or is public in one of `ROOMS`; arguments are
those of its signature, and all that it needs are there unless the block leaves some out by `...`.
"""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from tests.architecture.packages import ROOT

ROOMS = (
    "dreamshare",
    "dreamshare_edge",
    "dreamshare_aggregator",
    "dreamshare.client",
    "dreamshare.protocol.messages",
    "dreamshare.transport.grpc",
    "dreamshare.transport.tls",
    "dreamshare_crypto.identity",
    "dreamshare_edge.describe",
)
RUN = {"embedding.md", "autodiff.md", "programs.md", "exporting.md"}
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page.name not in RUN and page.parent.name not in ("tutorials", "adr")
]
FENCE = r"(?ms)^( *)```{}[^\n]*\n(.*?)^ *```"


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (where, text) of each block in this language."""
    return [
        (f"{page.relative_to(ROOT)}:{number}", inspect.cleandoc("\n" + text))
        for page in PAGES
        for number, (_, text) in enumerate(re.findall(FENCE.format(language), page.read_text()))
    ]


@pytest.mark.parametrize(("where", "text"), blocks("toml"), ids=lambda each: each[:40])
def test_settings_are_toml(where: str, text: str) -> None:
    assert tomllib.loads(text)


@pytest.mark.parametrize(("where", "text"), blocks("python"), ids=lambda each: each[:40])
def test_code_calls_what_there_is(where: str, text: str) -> None:
    tree = ast.parse(text)
    names = imported(tree)
    known = 0
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Name) and (found := names.get(call.func.id)):
            known += 1
            bind(found, call)
    assert known, "the block calls nothing public"


def imported(tree: ast.Module) -> dict[str, object]:
    """Return what a block's names may mean."""
    names: dict[str, object] = {}
    for room in map(import_module, ROOMS):
        every = getattr(room, "__all__", None) or [n for n in vars(room) if n[0] != "_"]
        names |= {name: getattr(room, name) for name in every}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dreamshare"):
            room = import_module(str(node.module))
            names |= {one.asname or one.name: getattr(room, one.name) for one in node.names}
    return names


def bind(found: object, call: ast.Call) -> None:
    """Bind a call's arguments; raises TypeError where they do not fit."""
    assert callable(found)
    signature = inspect.signature(found)
    left_out = any(isinstance(e, ast.Constant) and e.value is ... for e in call.args)
    given = [
        each for each in call.args if not (isinstance(each, ast.Constant) and each.value is ...)
    ]
    named = {each.arg: each.value for each in call.keywords if each.arg}
    (signature.bind_partial if left_out else signature.bind)(*given, **named)


def test_a_wrong_call_is_noticed() -> None:
    names = imported(ast.parse("from dreamshare.protocol.messages import Cohort"))
    for text in ("Cohort(least=4, most=8, middle=6)", "Cohort(least=4)"):
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        with pytest.raises(TypeError):
            bind(names["Cohort"], call)


def test_pages_are_found() -> None:
    assert Path("README.md") in {page.relative_to(ROOT) for page in PAGES}
    assert len(blocks("python")) >= 4
