"""From result files to a page and its pictures.

Rules:
- the page is a function of the files (`tables`); pictures lie beside it in a folder of its name;
- files are taken in the order given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamshare_cli.bench.results import read_results
from dreamshare_cli.bench.tables import page


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_report` wrote."""

    page: Path
    pictures: tuple[Path, ...]


def page_of(files: Sequence[Path], folder: str | None) -> str:
    """Return the page of these files; pictures are sought in `folder`, or left out for None.

    Raises:
        ConfigError: a file holds no results.
    """
    every = [read_results(path) for path in files]
    return page(every, None if folder is None else lambda name: f"{folder}/{name}")


def write_report(files: Sequence[Path], out: Path) -> Written:
    """Write the page, and its pictures into a folder beside it; errors as in `page_of`."""
    from dreamshare_cli.bench.plots import algorithm_plots, plots_of  # matplotlib takes a second

    text = page_of(files, out.stem)
    folder = out.with_suffix("")
    every = [read_results(path) for path in files]
    pictures = algorithm_plots(every)
    for results in every:
        pictures |= plots_of(results)
    if pictures:
        folder.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    for name, svg in pictures.items():
        (folder / name).write_bytes(svg)
    return Written(out, tuple(folder / name for name in pictures))
