"""What `dreamshare plan` does and prints."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from dreamshare_cli.exits import Exit
from dreamshare_cli.output import Output
from dreamshare_cli.planning.calibrate import calibrate as measure
from dreamshare_cli.planning.model import Fleet, Plan, plan_for
from dreamshare_cli.planning.units import Units


def run_plan(fleet: Fleet, path: Path | None, *, calibrate: bool, as_json: bool) -> Exit:
    """Print a plan; unit costs are measured where they are not known.

    Raises:
        ConfigError: the file is none, this machine cannot be measured, or no such fleet can be had.
    """
    kept = path or cache()
    if calibrate or (path is None and not kept.exists()):
        measure().save(kept)
    units = Units.load(kept)
    found = plan_for(fleet, units)
    fields = {"fleet": asdict(fleet), "plan": asdict(found), "units": asdict(units)}
    Output(as_json).show(fields, text_of(fleet, found))
    return Exit.OK


def cache() -> Path:
    """Return where unit costs of this machine are kept."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "dreamshare" / "units.json"


def text_of(fleet: Fleet, plan: Plan) -> str:
    """Return a plan for people."""
    lines = (
        (
            "cohorts",
            f"{plan.cohorts:,} of up to {plan.cohort:,}, {plan.neighbours} neighbours each",
        ),
        ("vector", f"{plan.vector_bytes / 1e6:,.2f} MB a device"),
        ("shards", f"{plan.shards:,} beside {plan.roots:,} root processes: {plan.cores:,} cores"),
        ("memory", f"{plan.memory_mb:,.0f} MB in the largest process"),
        ("bytes", f"{plan.bytes_in / 1e9:,.2f} GB in, {plan.bytes_out / 1e9:,.2f} GB out, a round"),
        ("processor", f"{plan.shard_s:,.1f} s a shard, {plan.root_s:,.1f} s a root"),
        ("network", f"{plan.device_upload_s:,.1f} s a device, {plan.network_s:,.1f} s here"),
        ("a round", f"{plan.seconds:,.1f} s, without what devices compute"),
        ("tight", plan.bottleneck),
    )
    return "\n".join(f"{name:<10} {value}" for name, value in lines)
