"""What `dreamshare export` does.

Objects with `--json`, one at the end:
    export    {"bundle": "net.dream", "bytes": 77536, "sha256": "9c…", "model": "3f…",
               "cached": false, "graphs": {"logits": {"error": 8.4e-08, "torch_error": 8.6e-08}, …}}
    --check   the same, without "cached"
"sha256" is that of the file, "model" that of its graphs and weights.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dreamshare.errors import ConfigError
from dreamshare_cli.exits import Exit
from dreamshare_cli.output import Output, say

if TYPE_CHECKING:
    from dreamshare.learning.onnx.bundle import Bundle

_EXTRA = "pip install 'dreamshare[export]'"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is exported, and how.

    Attributes:
        file: a Python file.
        function: name of a function in it that takes nothing and returns the net.
        shape: of one input.
        classes: K.
        out: where the bundle goes.
        quantize: add a forward graph with 8-bit weights.
        mean: of raw values by channel; empty: inputs are normalised already.
        deviation: of raw values by channel.
        programs: a Python file and the name of a `ProgramSource` in it, each.
    """

    file: Path
    function: str
    shape: tuple[int, ...]
    classes: int
    out: Path
    quantize: bool
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    programs: tuple[tuple[Path, str], ...]

    @classmethod
    def of(
        cls,
        model: str | None,
        shape: str | None,
        classes: int | None,
        out: Path | None,
        quantize: bool,
        scale: tuple[str | None, str | None],
        programs: Sequence[str] | None,
    ) -> ExportRequest:
        """Parse the command's options.

        Raises:
            ConfigError: one is missing or has no meaning.
        """
        if model is None or shape is None or classes is None:
            raise ConfigError(
                "name the model, its input and its classes: "
                "dreamshare export model.py:make_net --shape 1,28,28 --classes 10"
            )
        path, function = _named(model, "FUNCTION")
        try:
            sizes = tuple(int(part) for part in shape.split(","))
            mean, deviation = (_numbers(text) for text in scale)
        except ValueError:
            raise ConfigError("sizes, means and deviations are numbers with commas") from None
        return cls(
            path,
            function,
            sizes,
            classes,
            out or Path(f"{path.stem}.dream"),
            quantize,
            mean,
            deviation,
            tuple(_named(text, "NAME") for text in programs or ()),
        )


def export_it(request: ExportRequest, cache: Path | None, fresh: bool, as_json: bool) -> Exit:
    """Export, write the bundle, print its figures."""
    try:
        from dreamshare.learning.export.cache import cached, content_key, write_whole
    except ModuleNotFoundError as error:
        raise ConfigError(f"export needs {error.name}: {_EXTRA}") from None
    files = [request.file, *(path for path, _ in request.programs)]
    sources = {path: _read(path) for path in files}
    tell: Callable[[str], None] = (lambda _: None) if as_json else (lambda what: say(f"  {what}"))
    make = _maker(request, sources, tell)
    folder = cache or _cache_folder()
    key = content_key([*sources.values(), repr(request).encode()])
    bundle, found = (make(), False) if fresh else cached(folder, key, make)
    content = bundle.to_bytes()
    write_whole(request.out, content)
    _show(bundle, request.out, content, {"cached": found}, as_json)
    return Exit.OK


def check_it(path: Path, as_json: bool) -> Exit:
    """Check a bundle: sizes, versions, hashes, and every graph runs on one batch."""
    try:
        from dreamshare.learning.onnx.bundle import read_bundle
        from dreamshare.learning.onnx.trial import try_graphs
    except ModuleNotFoundError as error:
        raise ConfigError(f"a bundle needs {error.name}: pip install 'dreamshare[onnx]'") from None
    bundle = read_bundle(path)
    try_graphs(bundle)
    _show(bundle, path, path.read_bytes(), {}, as_json)
    return Exit.OK


def _maker(
    request: ExportRequest, sources: Mapping[Path, bytes], tell: Callable[[str], None]
) -> Callable[[], Bundle]:
    def make() -> Bundle:
        from dreamshare.learning.export import ExportSettings, compile  # noqa: A004
        from dreamshare.learning.export.models import load_net
        from dreamshare.learning.export.program_sources import load_program
        from dreamshare.learning.onnx.manifest import Normalisation

        net = load_net(sources[request.file], request.file, request.function)
        settings = ExportSettings(
            name=request.out.stem,
            normalisation=Normalisation(request.mean, request.deviation),
            quantize=request.quantize,
            programs=tuple(load_program(sources[p], p, name) for p, name in request.programs),
        )
        return compile(
            net, request.shape, classes=request.classes, settings=settings, progress=tell
        )

    return make


def _named(text: str, what: str) -> tuple[Path, str]:
    file, _, name = text.rpartition(":")
    if not file or not name.isidentifier():
        raise ConfigError(f"{text!r} is not FILE.py:{what}")
    return Path(file), name


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _numbers(text: str | None) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split(",")) if text else ()
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(text)
    return numbers


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dreamshare" / "export"


def _show(
    bundle: Bundle, path: Path, content: bytes, more: dict[str, object], as_json: bool
) -> None:
    manifest = bundle.manifest
    graphs = {
        name: {"error": graph.error, "torch_error": graph.torch_error}
        for name, graph in manifest.graphs.items()
    }
    digest = hashlib.sha256(content).hexdigest()
    fields = {
        "bundle": str(path),
        "bytes": len(content),
        "sha256": digest,
        "model": manifest.model,
        "graphs": graphs,
    }
    lines = [f"{path}: {len(content)} bytes, model {manifest.model[:12]}", f"  SHA-256 {digest}"]
    lines += [
        f"  {name:14} error {graph.error:.1e}, torch's own {graph.torch_error:.1e}"
        for name, graph in manifest.graphs.items()
    ]
    Output(as_json).show({**fields, **more}, "\n".join(lines))
