"""Says what an environment holds; runs in the one that is weighed, by the standard library alone.

    PYTHON -I benchmarks/peers/weigh.py torch onnx typer ...

Prints one JSON object: the distributions, the bytes of their files (bytecode included, as pip
leaves them), the same in blocks of the file system, and which of the named modules can be found.

Rules: pip and setuptools, which a new environment may bring, count for nobody.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import distributions
from importlib.util import find_spec

TOOLS = ("pip", "setuptools", "wheel")


def main() -> None:
    """Print what there is."""
    held = [each for each in distributions() if each.metadata["Name"].lower() not in TOOLS]
    files = {os.path.realpath(str(d.locate_file(path))) for d in held for path in d.files or ()}
    found = [os.stat(path) for path in files if os.path.isfile(path)]
    print(
        json.dumps(
            {
                "distributions": len(held),
                "disk_mb": round(sum(stat.st_size for stat in found) / 1e6, 3),
                "disk_blocks_mb": round(sum(512 * stat.st_blocks for stat in found) / 1e6, 3),
                "installed": sorted(f"{d.metadata['Name']}=={d.version}" for d in held),
                "importable": [name for name in sys.argv[1:] if find_spec(name) is not None],
            }
        )
    )


if __name__ == "__main__":
    main()
