"""`dreamshare run`: what an operator does: submit, watch, list, pause, resume, cancel, result,
artifacts, devices. Each verb is one call of `dreamshare.client.Client`.

Exit codes: 0 done, 1 the task failed or was cancelled, 2 an option or file is wrong, 3 nobody
answers, 4 refused, 130 interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Start, watch and end tasks, as an operator.")

Federation = Annotated[
    Path, typer.Option("--federation", "-f", help="A development federation's folder.")
]
Link = Annotated[
    str | None, typer.Option(envvar="DREAMSHARE_LINK", help="grpcs://host:port of the aggregator.")
]
Who = Annotated[
    Path | None,
    typer.Option("--identity", envvar="DREAMSHARE_IDENTITY", help="The operator's identity file."),
]
Patience = Annotated[
    float, typer.Option("--patience", help="Seconds until connecting is given up.", min=0.1)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON objects, one a line.")]
Task = Annotated[str, typer.Argument(help="The task's id, or the beginning of it.")]
FOLDER = Path("federation")
PATIENCE = 10.0


@app.command()
def submit(
    algorithm: Annotated[str, typer.Argument(help="Registered name, e.g. codream/1.")],
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="The algorithm's settings (TOML or JSON)."),
    ] = None,
    least: Annotated[int, typer.Option(help="Fewest devices of a roster, 3 or more.")] = 4,
    most: Annotated[
        int,
        typer.Option(
            help="Most devices of a roster, up to 10000. Above 128, --least is above 128 too, and "
            "takes part whose policy allows regular graphs."
        ),
    ] = 16,
    survivors: Annotated[
        int, typer.Option(help="Fewest devices in a sum; 0: the least that is allowed.")
    ] = 0,
    suite: Annotated[
        str, typer.Option(help="Ciphers: aes, or chacha for devices without AES instructions.")
    ] = "aes",
    bounded: Annotated[
        float,
        typer.Option(
            help="Bounded mode: the part of a roster that may drop out of a round, e.g. 0.1. A "
            "message less each way, for a smaller guaranteed crowd. 0: agreed mode."
        ),
    ] = 0.0,
    target: Annotated[
        int, typer.Option(help="Devices wanted in a round; 0: as many as there are.", min=0)
    ] = 0,
    spare: Annotated[
        float, typer.Option(help="Part of --target that is invited on top of it, e.g. 0.3.")
    ] = 0.0,
    quorum: Annotated[
        float,
        typer.Option(
            help="Part of a round's devices that is enough: the others have half as long again. 0: "
            "wait for all until the deadline."
        ),
    ] = 0.0,
    stratum: Annotated[
        list[str] | None,
        typer.Option(
            help="How many devices with a public attribute a roster has, e.g. region=eu:5-10; "
            "may be given several times."
        ),
    ] = None,
    public: Annotated[
        str,
        typer.Option(
            help="A task of moments/1 that is done, with keep: the set that its devices kept is "
            "this one's public set."
        ),
    ] = "",
    priority: Annotated[
        int, typer.Option(help="0 to 9; tasks of a higher one go first.", min=0, max=9)
    ] = 0,
    seed: Annotated[int, typer.Option(help="Public seed of the algorithm's draws.", min=0)] = 0,
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    clip: Annotated[
        float, typer.Option(help="Noise: l2 norm of a device's answer, in bounds of its fields.")
    ] = 0.0,
    epsilon: Annotated[float, typer.Option(help="Noise: what the whole task may cost.")] = 0.0,
    noise_multiplier: Annotated[
        float, typer.Option(help="Noise: deviation over what one device can do; or --epsilon.")
    ] = 0.0,
    delta: Annotated[float, typer.Option(help="Noise: at which epsilon is counted.")] = 1e-6,
    noise_bits: Annotated[int, typer.Option(help="Noise: bits of every field, 8 to 20.")] = 16,
    setup_s: Annotated[float, typer.Option(help="Seconds for the set-up of an epoch.")] = 60.0,
    collect_s: Annotated[float, typer.Option(help="Seconds to compute and answer.")] = 120.0,
    reveal_s: Annotated[float, typer.Option(help="Seconds to open a sum.")] = 30.0,
    adapt_s: Annotated[
        float,
        typer.Option(
            help="Let the last two follow how long devices take, down to this; 0: they are fixed."
        ),
    ] = 0.0,
    follow: Annotated[bool, typer.Option("--watch", help="Follow the task to its end.")] = False,
    federation: Federation = FOLDER,
    link: Link = None,
    identity: Who = None,
    patience: Patience = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Start a task; prints its id."""
    from dreamshare.client import Client
    from dreamshare.learning.public import PublicSet, kept_by_devices
    from dreamshare.protocol.crowds import guarantee_of
    from dreamshare.protocol.messages import Cohort, Deadlines, Submit, TaskStatus
    from dreamshare_cli.exits import Exit
    from dreamshare_cli.following import follow as follow_reports
    from dreamshare_cli.operating import (
        Where,
        status_fields,
        status_line,
        with_client,
    )
    from dreamshare_cli.output import Output
    from dreamshare_cli.submitting import read_order, stratum_of, suite_named, wanted_privacy

    strata = tuple(map(stratum_of, stratum or ()))
    cohort = Cohort(
        least, most, survivors, suite_named(suite), bounded, target, spare, quorum, strata
    )
    guarantee = guarantee_of(cohort)

    def order(drawn: PublicSet | None = None) -> Submit:
        return read_order(
            algorithm,
            config,
            cohort,
            Deadlines(setup_s, collect_s, reveal_s, adapt_s),
            seed,
            name,
            wanted_privacy(clip, noise_multiplier, epsilon, delta, noise_bits),
            priority,
            drawn,
        )

    known = None if public else order()

    async def work(client: Client) -> Exit:
        if known is None:
            drawn = await client.result(await client.find(public))
            wanted = order(kept_by_devices(drawn.arrays, drawn.metrics))
        else:
            wanted = known
        status: TaskStatus = await client.order(wanted)
        shown = f"task {status.task.hex()} is submitted" if not follow else status_line(status)
        figures = {"crowd": guarantee.crowd, "colluders": guarantee.colluders}
        fields = {"event": "submitted", **status_fields(status), **figures}
        Output(as_json).show(fields, f"{shown}\n{guarantee}")
        if not follow:
            return Exit.OK
        return await follow_reports(client.watch(status.task), as_json)

    raise typer.Exit(with_client(Where(federation, link, identity, patience), work))


@app.command()
def watch(
    task: Task,
    after: Annotated[int, typer.Option(help="Begin after the report of this number.")] = 0,
    federation: Federation = FOLDER,
    link: Link = None,
    identity: Who = None,
    patience: Patience = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Follow a task to its end; exit code 0 when it is done, 1 when it failed."""
    from dreamshare.client import Client
    from dreamshare_cli.exits import Exit
    from dreamshare_cli.following import follow
    from dreamshare_cli.operating import Where, with_client

    async def work(client: Client) -> Exit:
        return await follow(client.watch(await client.find(task), after), as_json)

    raise typer.Exit(with_client(Where(federation, link, identity, patience), work))


@app.command(name="list")
def list_(
    federation: Federation = FOLDER,
    link: Link = None,
    identity: Who = None,
    patience: Patience = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Show every task."""
    from dreamshare_cli.operating import Where, status_fields, status_line, with_client
    from dreamshare_cli.output import Output

    where = Where(federation, link, identity, patience)
    for status in with_client(where, lambda client: client.list()):
        Output(as_json).show(status_fields(status), status_line(status))


@app.command()
def cancel(
    task: Task,
    federation: Federation = FOLDER,
    link: Link = None,
    identity: Who = None,
    patience: Patience = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """End a task; an open round is given up."""
    from dreamshare_cli.operating import Where, change_task

    where = Where(federation, link, identity, patience)
    change_task(where, task, lambda client, found: client.cancel(found), as_json)


@app.command()
def pause(
    task: Task,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Do not finish the open round; it is asked again.")
    ] = False,
    federation: Federation = FOLDER,
    link: Link = None,
    identity: Who = None,
    patience: Patience = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Let a task rest until `resume`, also over restarts of the aggregator."""
    from dreamshare_cli.operating import Where, change_task

    where = Where(federation, link, identity, patience)
    change_task(where, task, lambda client, found: client.pause(found, give_up), as_json)


@app.command()
def resume(
    task: Task,
    federation: Federation = FOLDER,
    link: Link = None,
    identity: Who = None,
    patience: Patience = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Let a paused task go on."""
    from dreamshare_cli.operating import Where, change_task

    where = Where(federation, link, identity, patience)
    change_task(where, task, lambda client, found: client.resume(found), as_json)


@app.command()
def result(
    task: Task,
    out: Annotated[
        Path | None, typer.Option(help="Write the arrays to this .npz file (no pickles).")
    ] = None,
    federation: Federation = FOLDER,
    link: Link = None,
    identity: Who = None,
    patience: Patience = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Show the public result of a task that is done."""
    from dreamshare.client import Client, Result
    from dreamshare_cli.operating import Where, status_fields, with_client
    from dreamshare_cli.output import Output

    async def work(client: Client) -> Result:
        return await client.result(await client.find(task))

    found = with_client(Where(federation, link, identity, patience), work)
    shapes = {name: list(array.shape) for name, array in found.arrays.items()}
    if out is not None:
        found.save(out)
    lines = [found.status.detail]
    lines += [f"{name} = {value:.6g}" for name, value in found.metrics.items()]
    lines += [f"{name}: array of shape {tuple(shape)}" for name, shape in shapes.items()]
    lines += [f"arrays are in {out}"] if out is not None else []
    Output(as_json).show(
        {
            "status": status_fields(found.status),
            "metrics": dict(found.metrics),
            "arrays": shapes,
            "out": None if out is None else str(out),
        },
        "\n".join(lines),
    )


@app.command()
def artifacts(
    task: Task,
    out: Annotated[
        Path | None, typer.Option(help="Write the arrays to this .npz file (no pickles).")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="With --out: an array that is wanted; may be given several times."),
    ] = None,
    federation: Federation = FOLDER,
    link: Link = None,
    identity: Who = None,
    patience: Patience = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Show the arrays of a task that is done: hash, bytes, dtype, shape, name; or download them."""
    from dataclasses import asdict

    from dreamshare.client import Artifact, Client
    from dreamshare_cli.operating import Where, artifact_line, with_client
    from dreamshare_cli.output import Output

    async def work(client: Client) -> tuple[Artifact, ...]:
        found = await client.find(task)
        if out is None:
            return await client.artifacts(found)
        return await client.download(found, out, only or ())

    for artifact in with_client(Where(federation, link, identity, patience), work):
        Output(as_json).show(asdict(artifact), artifact_line(artifact))


@app.command()
def devices(
    federation: Federation = FOLDER,
    link: Link = None,
    identity: Who = None,
    patience: Patience = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Show the devices that came since the aggregator was started."""
    from dreamshare_cli.operating import Where, device_fields, device_line, with_client
    from dreamshare_cli.output import Output

    where = Where(federation, link, identity, patience)
    for device in with_client(where, lambda client: client.devices()):
        Output(as_json).show(device_fields(device), device_line(device))
