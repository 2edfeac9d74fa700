"""What `scripts/docs` looks for in the built site; the site itself is built by `make check`."""

from __future__ import annotations

import zlib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from tests.architecture.packages import ROOT


def loaded(name: str, path: Path) -> ModuleType:
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


DOCS = loaded("scripts_docs", ROOT / "scripts" / "docs")
HOOKS = loaded("site_hooks", ROOT / "scripts" / "site" / "hooks.py")


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img alt="x" src=http://example.org/x.png>',
        "<style>@import 'https://example.org/a.css';</style>",
        "<style>a { background: url(https://example.org/x.png) }</style>",
        '<a href="javascript:alert(1)">x</a>',
        '<a href="https:///nowhere">x</a>',
    ],
)
def test_what_another_host_would_be_asked_for_is_found(page: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page)
    assert len(list(DOCS.complaints(tmp_path))) == 1


def test_links_that_are_only_links_are_none(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<a href="https://example.org/a">x</a><img src="images/x.png"><a href="b.html#part">y</a>'
        '<a href="mailto:security@example.org">z</a><script src="assets/a.js"></script>'
    )
    assert list(DOCS.complaints(tmp_path)) == []


def test_a_public_name_without_a_page_is_found(tmp_path: Path) -> None:
    packed = zlib.compress(b"dreamshare.Client py:class 1 api/client.html#$ -\n")
    (tmp_path / "objects.inv").write_bytes(b"# a\n# b\n# c\n# d\n" + packed)
    missing = list(DOCS.missing_names(DOCS.inventory(tmp_path / "objects.inv")))
    assert not any("dreamshare.Client is" in line for line in missing)
    assert any("dreamshare.GrpcLink is public and not in docs/api" in line for line in missing)


def test_links_lead_to_what_the_site_has() -> None:
    assert HOOKS.resolved("docs/mqtt.md", "adr/README.md") == "docs/adr/README.md"
    assert HOOKS.resolved("docs/mqtt.md", "../../outside.md") is None
    assert HOOKS.site_path("docs/mqtt.md") == "mqtt.md"
    assert HOOKS.site_path("README.md") == "repository/README.md"
    assert HOOKS.site_path("examples/embed_agent.py") == "repository/examples/embed_agent.py.md"
    assert HOOKS.site_path("deploy/systemd") == "repository/deploy/systemd/index.md"
    assert HOOKS.repository_path("repository/README.md") == "README.md"


def test_a_state_diagram_becomes_a_table() -> None:
    table = HOOKS.arrows("stateDiagram-v2\n    [*] --> Idle\n    Idle --> Done: Offer, Tick\n")
    assert table.splitlines()[2:] == ["| (start) | Idle |  |", "| Idle | Done | Offer, Tick |"]
