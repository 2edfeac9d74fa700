"""Writes what a demo found out: result.json, its PNG files and the report.

OUT/result.json  OUT/accuracy.png  OUT/moments.png  OUT/dreams.png  OUT/report.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare.payloads.gallery import Gallery
from dreamshare_cli.demo.figures import result_json
from dreamshare_cli.demo.palette import DARK, LIGHT, Palette
from dreamshare_cli.demo.pictures import accuracy_png, gallery_png
from dreamshare_cli.demo.report import Pictures, Variants, report_html
from dreamshare_cli.demo.result import DemoResult
from dreamshare_cli.demo.wording import WORDINGS


@dataclass(frozen=True, slots=True)
class Published:
    """Where everything lies; `galleries` in the order of the runs."""

    result: Path
    accuracy: Path
    galleries: tuple[Path, ...]
    report: Path


def publish(
    folder: Path, result: DemoResult, galleries: Mapping[str, Gallery], command: str
) -> Published:
    """Write the files; raises ConfigError where the folder cannot be written.

    Args:
        folder: exists.
        result: what came of it.
        galleries: of each run, by the algorithm's name.
        command: what to type to see the same again.
    """

    def accuracy(palette: Palette, narrow: bool) -> bytes:
        return accuracy_png(result, palette, narrow=narrow)

    def shown(name: str) -> Variants:
        gallery, word = galleries[name], WORDINGS[name].row
        return _variants(lambda palette, narrow: gallery_png(gallery, palette, word, narrow=narrow))

    pictures = Pictures(_variants(accuracy), {run.name: shown(run.name) for run in result.runs})
    published = Published(
        folder / "result.json",
        folder / "accuracy.png",
        tuple(folder / WORDINGS[run.name].picture for run in result.runs),
        folder / "report.html",
    )
    try:
        published.result.write_text(result_json(result, indent=2) + "\n", encoding="utf-8")
        published.accuracy.write_bytes(pictures.accuracy.light)
        for path, variants in zip(published.galleries, pictures.galleries.values(), strict=True):
            path.write_bytes(variants.light)
        published.report.write_text(report_html(result, pictures, command), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}") from None
    return published


def _variants(draw: Callable[[Palette, bool], bytes]) -> Variants:
    """Return a picture for light and dark screens, wide and narrow."""
    return Variants(
        light=draw(LIGHT, False),
        dark=draw(DARK, False),
        light_narrow=draw(LIGHT, True),
        dark_narrow=draw(DARK, True),
    )
