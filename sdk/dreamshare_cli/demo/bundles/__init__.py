"""The demo's four nets as bundles, for devices without torch; `make bundles` builds them anew.

    NAME.dream    one for each architecture (docs/adr/0021)
    made.json     hash of the sources that they were made from, and the model that each one holds

Rules:
- they are built from `nets` by `python -m dreamshare_cli.demo.bundles` (extra `export`) and kept
  beside this file, so that whoever installs the demo needs no torch;
- a test holds the hash: who changes a net or its translation builds them anew.
"""

from __future__ import annotations

from importlib import resources

from dreamshare.errors import ConfigError
from dreamshare.learning.onnx.bundle import Bundle, read_bundle


def demo_bundle(architecture: str) -> Bundle:
    """Return the bundle of one of `setting.ARCHITECTURES`.

    Raises:
        ConfigError: there is none of this name.
        BundleError: it is damaged.
    """
    file = resources.files("dreamshare_cli.demo.bundles").joinpath(f"{architecture}.dream")
    if not file.is_file():
        raise ConfigError(
            f"this installation has no bundle of {architecture!r}; install dreamshare again"
        )
    return read_bundle(file.read_bytes())
