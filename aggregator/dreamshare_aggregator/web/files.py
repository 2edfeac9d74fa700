"""The page's own files: read once, from the package, and served with a tag for caches.

Rules: only names that were found at the start are served, so no path can lead elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "css": "text/css; charset=utf-8",
        "html": "text/html; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "json": "application/manifest+json",
        "svg": "image/svg+xml",
        "txt": "text/plain; charset=utf-8",
    }
)


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page."""

    body: bytes
    kind: str
    tag: str

    def answer(self, request: Request) -> Response:
        """Return the file, or that the browser has it."""
        headers = {"etag": self.tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        return Response(self.body, media_type=self.kind, headers=headers)


def page_files() -> Mapping[str, PageFile]:
    """Return every file of the page by its path below /static/."""
    return MappingProxyType(dict(_walk(files("dreamshare_aggregator.web") / "static", "")))


def _walk(folder: Traversable, above: str) -> list[tuple[str, PageFile]]:
    found: list[tuple[str, PageFile]] = []
    for entry in folder.iterdir():
        name = f"{above}{entry.name}"
        kind = _KINDS.get(name.rpartition(".")[2])
        if entry.is_dir():
            found += _walk(entry, f"{name}/")
        elif kind is not None:
            body = entry.read_bytes()
            found.append((name, PageFile(body, kind, f'"{hashlib.sha256(body).hexdigest()[:24]}"')))
    return found
