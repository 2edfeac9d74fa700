"""`python -m dreamshare_cli.demo.bundles`, which is `make bundles`: build the demo's bundles anew.

They go where this package lies, or into the folder that is named. Takes half a minute. `--check`
builds nothing: exit status 1 where the sources have changed since.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dreamshare_cli.demo.bundles.sources import outdated


def main() -> int:
    """Build them and say what changed, or check them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent)
    parser.add_argument("--check", action="store_true", help="only say whether they are of today")
    asked = parser.parse_args()
    folder: Path = asked.folder
    if asked.check:
        if reason := outdated(folder):
            print(f"{reason}: make bundles")
        return 1 if reason else 0
    from dreamshare_cli.demo.bundles.making import make_bundles  # takes torch

    folder.mkdir(parents=True, exist_ok=True)
    made = make_bundles(folder, lambda name: print(f"  {name}", flush=True))
    for each in made:
        told = "new" if each.changed else "as before"
        print(f"{each.path.name}: {each.size} bytes, model {each.model[:12]}, {told}")
    print(f"{sum(each.size for each in made) / 1e6:.2f} MB in {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
