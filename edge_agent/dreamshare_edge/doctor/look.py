"""Looks at what is on the device: identity, store, memory, disk, anchor, conditions, policy."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from dreamshare_crypto.identity import Identity
from dreamshare_edge.conditions import Conditions
from dreamshare_edge.config import AgentConfig
from dreamshare_edge.doctor.clock import SKEW_S, Span, day
from dreamshare_edge.doctor.findings import Finding, error, ok, warning
from dreamshare_edge.doctor.memory import free_memory
from dreamshare_edge.policy import Policy
from dreamshare_edge.renewing import due_at

_MEMORY = 256 << 20
_DISK = 512 << 20


def look_at_certificate(identity: Identity, enrol: tuple[str, ...], now: float) -> list[Finding]:
    """Return whether certificate and revocation list serve at `now`."""
    held, listed = identity.certificate, identity.revocations
    until = day(held.not_after)
    found = []
    if held.serial in listed.serials:
        advice = "ask the operator; a revoked device enrols anew"
        found.append(error("certificate", "the certificate is revoked", advice))
    elif now > held.not_after:
        text = f"the certificate ended on {until}; the clock says {day(now)}"
        advice = "set the clock if it is wrong; else `dreamshare enrol renew`, or enrol again"
        found.append(error("certificate", text, advice))
    elif now > due_at(identity):
        how = "the agent renews it while it runs" if enrol else "`dreamshare enrol renew` does it"
        text = f"the certificate ends on {until} and is due for renewal"
        found.append(warning("certificate", text, how))
    else:
        found.append(ok("certificate", f"good until {until}"))
    if now > listed.next_update:
        text = f"the revocation list was due for a newer one on {day(listed.next_update)}"
        found.append(warning("revocations", text, "the next offer brings one; if not, ask there"))
    return found


def spans_of(identity: Identity) -> list[Span]:
    """Return when what this device was given is valid: its certificate, the revocation list."""
    held, listed = identity.certificate, identity.revocations
    return [
        Span("this device's certificate", held.not_before, held.not_after),
        Span("the revocation list", listed.this_update - SKEW_S, None),
    ]


def look_at_permissions(config: AgentConfig) -> list[Finding]:
    """Return whether others may read what is private."""
    found = []
    for name, path in (("store", config.store), ("identity", config.identity)):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            if name == "store":
                found.append(ok("store", f"{path} does not exist yet; the first start makes it"))
            continue
        except OSError as wrong:
            advice = "the agent's account needs it"
            found.append(error(name, f"{path}: {wrong.strerror}", advice))
            continue
        if mode & 0o077:
            how = f"chmod {'700' if name == 'store' else '600'} {path}"
            text = f"others may use {path} (mode {mode:04o})"
            found.append(error(name, text, f"{how}; if somebody did, revoke and enrol again"))
        elif not os.access(path, os.R_OK | os.W_OK):
            found.append(error(name, f"{path} cannot be written", "the agent's account needs it"))
        else:
            found.append(ok(name, f"{path} is this account's alone"))
    return found


def look_at_room(store: Path) -> list[Finding]:
    """Return whether memory and disk suffice."""
    place = next(p for p in (store, *store.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    text = f"{free >> 20} MB are free where the store is"
    advice = "the agent ends where its journal cannot be written; make room"
    found = [ok("disk", text) if free >= _DISK else warning("disk", text, advice)]
    if free < 16 << 20:
        found = [error("disk", text, advice)]
    memory = free_memory()
    if memory is None:
        return found
    text = f"{memory >> 20} MB are available"
    advice = "stop something, or take smaller batches"
    found.append(ok("memory", text) if memory >= _MEMORY else warning("memory", text, advice))
    return found


def look_at_anchor(folder: Path | None) -> Finding:
    """Return whether there is a place for the rollback anchor (docs/protocol.md 9.7)."""
    user = os.geteuid()
    places = (Path(f"/run/user/{user}"), Path("/dev/shm"))  # noqa: S108
    wanted = places if folder is None else (folder,)
    for place in wanted:
        if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
            return ok("anchor", f"the rollback anchor has its place in {place}")
    if folder is not None and folder.parent.is_dir() and os.access(folder.parent, os.W_OK):
        return ok("anchor", f"{folder} does not exist yet; the first start makes it")
    advice = "set anchor_folder to a folder on a tmpfs that this account may write"
    if folder is not None:
        return error("anchor", f"{folder} cannot be used", advice)
    return warning("anchor", "after a restart this device waits for the next epoch", advice)


def look_at_conditions(policy: Policy, conditions: Conditions) -> Finding:
    """Return whether the owner's conditions hold now."""
    known = ", ".join(
        f"{name} {'cannot tell' if value is None else value}"
        for name, value in (
            ("charging", conditions.charging),
            ("unmetered", conditions.unmetered),
            ("idle", conditions.idle),
            ("battery", conditions.battery),
        )
    )
    try:
        policy.check_conditions(conditions)
    except Exception as refused:  # noqa: BLE001  whatever the policy says is the finding
        advice = "nothing is wrong where that is meant; 'cannot tell' needs the extra 'linux', or "
        return warning("conditions", f"{refused} ({known})", advice + "unknown_allows = true")
    return ok("conditions", known)


def look_at_policy(policy: Policy, algorithms: tuple[str, ...]) -> list[Finding]:
    """Return clauses that hardly can be meant."""
    found = []
    if not any(policy.allows(name) for name in algorithms):
        text = f"the policy allows none of {', '.join(algorithms)}"
        found.append(error("policy", text, "name one of them in policy.algorithms"))
    if policy.unknown_allows and (policy.on_charger or policy.unmetered or policy.idle):
        text = "unknown_allows lets a device compute that cannot tell whether it may"
        found.append(warning("policy", text, "leave it out where power or data cost something"))
    if policy.resume_without_anchor:
        text = "resume_without_anchor: a restored copy of this device may answer a round twice"
        found.append(warning("policy", text, "leave it out (docs/protocol.md 9.7)"))
    if policy.gamma < 0.01:
        text = f"gamma = {policy.gamma:g} assumes that hardly anybody colludes"
        found.append(warning("policy", text, "0.05 is the default"))
    if policy.version_resets:
        text = "version_resets lets aggregators step back to an older protocol"
        found.append(warning("policy", text, "take it out when the step back is done"))
    return found or [ok("policy", f"sums of {policy.least_cohort} devices or more")]
