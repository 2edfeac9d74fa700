"""`python -m dreamshare_cli.demo.bundles`, which is `make bundles`: build the demo's bundles anew.

They go where this package lies, or into the folder that is named. Takes half a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> int:
    """Build them and say what changed."""
    from dreamshare_cli.demo.bundles.making import make_bundles

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    made = make_bundles(folder, lambda name: print(f"  {name}", flush=True))
    for each in made:
        told = "new" if each.changed else "as before"
        print(f"{each.path.name}: {each.size} bytes, model {each.model[:12]}, {told}")
    print(f"{sum(each.size for each in made) / 1e6:.2f} MB in {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
