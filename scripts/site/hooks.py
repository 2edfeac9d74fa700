"""Hooks of the documentation's site: what plain Markdown in a repository leaves open.

Rules:
- pages are written for readers of the repository; nothing in them is there for the site alone;
- a linked file outside docs/ comes along: Markdown as a page, a program or settings as a page of
  code, a folder as the list of its files, anything else as it is;
- a page that mkdocs.yml does not name joins the section of its folder;
- nothing is fetched: state diagrams become tables of their arrows, drawn by who can.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = "repository"
CODE = {
    ".py": "python",
    ".toml": "toml",
    ".sh": "bash",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".service": "ini",
    ".md": "",
}
SECTIONS = {
    "adr": "Decisions",
    "algorithms": "Algorithms",
    "api": "API",
    "operations": "Operations",
    "tutorials": "Tutorials",
}
"""Folder of docs/ -> the section of its pages; those of docs/ itself are guides."""

_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)(#[^)\s]*)?(?=\))")
_MERMAID = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
_ARROW = re.compile(r"^\s*(\S+) --> ([^\s:]+)(?:: (.*))?$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give every page its place."""
    sections = {name: pages for entry in config.nav or [] for name, pages in entry.items()}
    named = {page for pages in sections.values() for page in pages}
    docs = Path(config.docs_dir)
    for path in sorted(docs.rglob("*.md")):
        page = path.relative_to(docs).as_posix()
        if page not in named:
            sections[SECTIONS.get(page.partition("/")[0], "Guides")].append(page)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Bring along what pages link to outside docs/, and what that links to."""
    wanted = [f"docs/{file.src_uri}" for file in files if file.src_uri.endswith(".md")]
    seen = set(wanted)
    for source in wanted:  # grows while it is walked
        for target in targets(source):
            if target in seen or target.startswith("docs/"):
                continue
            seen.add(target)
            if target.endswith(".md"):
                wanted.append(target)
            files.append(brought(target, config))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links, folded parts and diagrams into what the site has."""
    here = page.file.src_uri
    source = repository_path(here)

    def link(found: re.Match[str]) -> str:
        target = resolved(source, found[1])
        if target is None:
            return found[0]
        there = posixpath.relpath(site_path(target), posixpath.dirname(here) or ".")
        return there + (found[2] or "")

    markdown = _LINK.sub(link, markdown)
    markdown = markdown.replace("<details>", '<details markdown="1">')
    return _MERMAID.sub(lambda found: arrows(found[1]), markdown)


def targets(source: str) -> Iterator[str]:
    """Yield what a page links to inside the repository, as paths from its root."""
    for found in _LINK.finditer((ROOT / source).read_text(encoding="utf-8")):
        target = resolved(source, found[1])
        if target is not None:
            yield target


def resolved(source: str, link: str) -> str | None:
    """Return the path from the root of what a page's link names; None where nothing is there."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    return target if (ROOT / target).exists() and not target.startswith("..") else None


def repository_path(page: str) -> str:
    """Return the file in the repository that a page of the site shows."""
    return page.removeprefix(f"{OUTSIDE}/") if page.startswith(OUTSIDE) else f"docs/{page}"


def site_path(target: str) -> str:
    """Return the page or file of the site that shows a file or folder of the repository."""
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    if (ROOT / target).is_dir():
        return f"{OUTSIDE}/{target}/index.md"
    if target.endswith(".md") or Path(target).suffix not in CODE:
        return f"{OUTSIDE}/{target}"
    return f"{OUTSIDE}/{target}.md"


def brought(target: str, config: MkDocsConfig) -> File:
    """Return a file of the site for a file or folder outside docs/."""
    path, place = ROOT / target, site_path(target)
    if path.is_dir():
        names = sorted(f"{one.name}/" if one.is_dir() else one.name for one in path.iterdir())
        shown = "\n".join(f"- `{name}`" for name in names if not name.startswith(("_", ".")))
        return File.generated(config, place, content=_aside(f"# {target}/\n\n{shown}\n"))
    language = CODE.get(path.suffix)
    if language is None:
        return File.generated(config, place, abs_src_path=str(path))
    text = path.read_text(encoding="utf-8")
    if language:
        text = f"# {target}\n\n````{language}\n{text}\n````\n"
    return File.generated(config, place, content=_aside(text))


def arrows(diagram: str) -> str:
    """Return a state diagram as a table of its arrows."""
    rows = [
        f"| {start.replace('[*]', '(start)')} | {end.replace('[*]', '(end)')} | {inputs} |"
        for start, end, inputs in _ARROW.findall(diagram)
    ]
    return "\n".join(["| from | to | at |", "| --- | --- | --- |", *rows])


def _aside(text: str) -> str:
    return f"---\nsearch:\n  exclude: true\n---\n\n{text}"
