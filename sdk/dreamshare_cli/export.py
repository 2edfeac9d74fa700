"""`dreamshare export`: a PyTorch model as a bundle for devices without torch.

Exit codes: 0 written, or checked and well, 2 the model, an option or the bundle is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL.py:make_net", help="A file, and the function in it that makes the net."
        ),
    ] = None,
    shape: Annotated[
        str | None, typer.Option(help="Of one input, without the batch, such as 1,28,28.")
    ] = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes.", min=2)] = None,
    out: Annotated[Path | None, typer.Option(help="The bundle to write, NAME.dream.")] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="Check a bundle instead: needs no torch.")
    ] = None,
    quantize: Annotated[
        bool, typer.Option("--quantize", help="Add a forward graph with 8-bit weights.")
    ] = False,
    mean: Annotated[
        str | None, typer.Option(help="Of raw values by channel, such as 0.5 or 0.48,0.45,0.4.")
    ] = None,
    deviation: Annotated[str | None, typer.Option(help="Of raw values, as for --mean.")] = None,
    program: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE.py:NAME", help="A ProgramSource to add; may be repeated."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(envvar="DREAMSHARE_EXPORT_CACHE", help="Folder of earlier exports."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not look into the cache.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a model's gradient and training graphs as a bundle that onnxruntime alone can run.

    The files of the model and of programs are executed: export what you trust.
    """
    from dreamshare_cli.exporting import ExportRequest, check_it, export_it

    if check is not None:
        raise typer.Exit(check_it(check, as_json))
    request = ExportRequest.of(model, shape, classes, out, quantize, (mean, deviation), program)
    raise typer.Exit(export_it(request, cache, fresh, as_json))
