"""Fuzzing led by coverage (libFuzzer through atheris), for as long as one likes.

    python -m tests.fuzz list
    python -m tests.fuzz run [TARGET ...] [--seconds 60]     # all targets, 60 s each
    python -m tests.fuzz replay TARGET FILE                  # what a crash file does

Rules:
- one process a target, one after the other; the corpus stays in `.fuzz/TARGET/` and grows;
- a finding is saved in `.fuzz/` and printed with the command that runs it again;
- more than 2 GiB of memory or 10 s for one input is a finding as well.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

FOLDER = Path(".fuzz")
INPUT_SECONDS = 10
MEMORY_MIB = 2048
LONGEST_BYTES = 1 << 16
ROOMS = ["dreamshare", "dreamshare_crypto", "dreamshare_edge"]


def run_targets(names: list[str], seconds: int) -> int:
    """Fuzz each target in a process of its own; return how many of them found something."""
    found = []
    for name in names:
        print(f"== {name}: {seconds} s", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", "one", name, "--seconds", str(seconds)]
        if subprocess.run(command, check=False).returncode:
            found.append(name)
    for name in found:
        files = sorted(FOLDER.glob(f"{name}.*"), key=lambda path: path.stat().st_mtime)
        for file in files[-1:]:
            print(f"{name}: run it again with: python -m tests.fuzz replay {name} {file}")
    print(f"{len(names)} targets, {len(found)} with findings")
    return len(found)


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=ROOMS):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    corpus = FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={FOLDER / name}.",
        f"-max_len={LONGEST_BYTES}",
        f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MIB}",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()


def main() -> int:
    """Read the command and carry it out."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    many = commands.add_parser("run")
    many.add_argument("targets", nargs="*")
    many.add_argument("--seconds", type=int, default=60)
    one = commands.add_parser("one")
    one.add_argument("target")
    one.add_argument("--seconds", type=int, default=60)
    again = commands.add_parser("replay")
    again.add_argument("target")
    again.add_argument("file", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "one":
        fuzz(chosen.target, chosen.seconds)
        return 0
    from tests.fuzz.targets import TARGETS

    match chosen.command:
        case "list":
            print("\n".join(TARGETS))
        case "run":
            unknown = sorted(set(chosen.targets) - set(TARGETS))
            if unknown:
                parser.error(f"unknown targets {unknown}; `list` names them")
            return run_targets(chosen.targets or list(TARGETS), chosen.seconds)
        case _:
            TARGETS[chosen.target].run(chosen.file.read_bytes())
            print("nothing was raised")
    return 0


if __name__ == "__main__":
    sys.exit(main())
