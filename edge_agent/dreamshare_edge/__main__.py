"""`python -m dreamshare_edge`: an agent without any command-line library.

    python -m dreamshare_edge --config agent.toml
    python -m dreamshare_edge --print-config
    python -m dreamshare_edge --join - --dir kitchen --learner learner.py:make_equipment

Exit codes are those of `dreamshare agent run`: 0 stopped on request, 1 failed, 2 settings or
identity wrong, 3 nobody answers, 4 refused.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from dreamshare import __version__
from dreamshare.errors import ConfigError, DreamshareError, Rejected, TransportError
from dreamshare.settings import default_text
from dreamshare_crypto.errors import CryptoError
from dreamshare_edge.config import AgentConfig
from dreamshare_edge.service import RunOptions, run_agent


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run an agent; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dreamshare_edge", description="An edge agent.")
    parser.add_argument("--config", type=Path, default=Path("agent.toml"), help="settings (TOML)")
    parser.add_argument("--print-config", action="store_true", help="print commented defaults")
    parser.add_argument("--doctor", action="store_true", help="say what is wrong and end")
    parser.add_argument("--join", metavar="TOKEN", help="enrol first; '-' reads the token")
    parser.add_argument("--dir", type=Path, help="with --join: the device's folder")
    parser.add_argument("--learner", help="with --join: NAME.dream or file.py:function")
    parser.add_argument("--link", help="overrides the link of the settings")
    parser.add_argument("--json", action="store_true", help="print outcomes as JSON lines")
    parser.add_argument("--once", action="store_true", help="end when the first task is over")
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.add_argument("--version", action="version", version=f"dreamshare {__version__}")
    options = parser.parse_args(arguments)
    if options.print_config:
        sys.stdout.write(default_text(AgentConfig))
        return 0
    if options.doctor:
        from dreamshare_edge.doctor import examine

        found = examine(options.config)
        found.show(_say, options.json)
        return int(found.severity)
    level = logging.DEBUG if options.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    log = logging.getLogger("dreamshare_edge")
    try:
        wanted = RunOptions(options.link, options.json, options.once)
        show = _say if options.json else log.info
        if options.join is None:
            return run_agent(options.config, wanted, show)
        from dreamshare_edge.joining import JoinOptions, joined

        text = sys.stdin.readline() if options.join == "-" else options.join
        how = JoinOptions(options.dir, options.learner, as_json=options.json)
        with joined(text, how, show) as settings:
            return run_agent(settings, wanted, show)
    except (DreamshareError, CryptoError, OSError) as error:
        if isinstance(error, OSError):
            log.error("the disk or the machine refuses: %s; mend that and start again", error)
        else:
            log.error("%s", error)
        match error:
            case ConfigError():
                return 2
            case Rejected():
                return 4
            case TransportError():
                return 3
            case _:
                return 1


if __name__ == "__main__":
    sys.exit(main())
