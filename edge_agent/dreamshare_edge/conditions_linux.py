"""Power, network and use of a Linux device, as the kernel and two system services tell them.

    LinuxConditions()   # charging, battery: sysfs; unmetered: NetworkManager; idle: systemd-logind

Rules:
- what is not there is 'cannot tell', never an error: no service, no D-Bus, no right to ask it;
- a device without a battery is on external power, as for `systemd-ac-power`;
- the services are asked in `refresh`, in the agent's thread, and none is started for it; D-Bus is
  spoken by jeepney (extra `linux`), which is imported when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dreamshare_edge.conditions import Conditions

_SYSFS = Path("/sys/class/power_supply")
_TIMEOUT_S = 3.0

_UNMETERED = {1: False, 3: False, 2: True, 4: True}
"""NMMetered: yes, guessed yes, no, guessed no; everything else is unknown."""


@dataclass(frozen=True, slots=True)
class ServiceProperty:
    """A property of a service on the system bus."""

    service: str
    path: str
    interface: str
    name: str


METERED = ServiceProperty(
    "org.freedesktop.NetworkManager",
    "/org/freedesktop/NetworkManager",
    "org.freedesktop.NetworkManager",
    "Metered",
)
IDLE = ServiceProperty(
    "org.freedesktop.login1",
    "/org/freedesktop/login1",
    "org.freedesktop.login1.Manager",
    "IdleHint",
)

Ask = Callable[[ServiceProperty], object]
"""Returns a property's value, None where it cannot be had."""


class LinuxConditions:
    """See `dreamshare_edge.conditions.DeviceConditions`.

    Args:
        power: the kernel's folder of power supplies.
        ask: how services are asked; over the system bus by default.
    """

    def __init__(self, power: Path = _SYSFS, ask: Ask | None = None) -> None:
        self._power = power
        self._ask = ask or ask_system_bus
        self._unmetered: bool | None = None
        self._idle: bool | None = None

    def read(self) -> Conditions:
        charging, battery = power_of(self._power)
        return Conditions(charging, self._unmetered, self._idle, battery)

    def refresh(self) -> None:
        metered, idle = self._ask(METERED), self._ask(IDLE)
        self._unmetered = _UNMETERED.get(metered) if isinstance(metered, int) else None
        self._idle = idle if isinstance(idle, bool) else None


def power_of(folder: Path) -> tuple[bool | None, int | None]:
    """Return whether external power is there, and the emptiest battery's percentage."""
    try:
        supplies = [_supply(entry) for entry in sorted(folder.iterdir())]
    except OSError:
        return None, None
    mains = [s.online for s in supplies if s.kind not in ("Battery", "")]
    batteries = [s for s in supplies if s.kind == "Battery" and not s.of_a_peripheral]
    levels = [s.percent for s in batteries]
    battery = None if None in levels else min((n for n in levels if n is not None), default=100)
    if any(mains) or any(s.status in ("Charging", "Full", "Not charging") for s in batteries):
        return True, battery
    if not batteries:
        return True, battery
    told = bool(mains) or any(s.status == "Discharging" for s in batteries)
    return (False if told else None), battery


def ask_system_bus(wanted: ServiceProperty, bus: str = "SYSTEM") -> object:
    """Ask a service that runs for a property; None where anything is missing."""
    try:
        from jeepney import DBusAddress, MessageFlag, MessageType, Properties
        from jeepney.io.blocking import open_dbus_connection
        from jeepney.wrappers import DBusErrorResponse
    except ImportError:
        return None
    address = DBusAddress(wanted.path, wanted.service, wanted.interface)
    question = Properties(address).get(wanted.name)
    question.header.flags |= MessageFlag.no_auto_start
    try:
        with open_dbus_connection(bus) as connection:
            reply = connection.send_and_get_reply(question, timeout=_TIMEOUT_S)
    except (OSError, KeyError, RuntimeError, ValueError, DBusErrorResponse):
        return None
    if reply.header.message_type is not MessageType.method_return:
        return None
    ((_, value),) = reply.body
    answer: object = value
    return answer


@dataclass(frozen=True, slots=True)
class _Supply:
    kind: str  # Mains, USB, Wireless, UPS, Battery
    online: bool
    status: str
    percent: int | None
    of_a_peripheral: bool  # the battery of a mouse says nothing about this device


def _supply(folder: Path) -> _Supply:
    told = dict(_files(folder))
    percent = told.get("capacity", "")
    return _Supply(
        told.get("type", ""),
        told.get("online") in ("1", "2"),  # fixed, programmable
        told.get("status", ""),
        int(percent) if percent.isdecimal() else None,
        told.get("scope") == "Device",
    )


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for name in ("type", "online", "status", "capacity", "scope"):
        try:
            yield name, (folder / name).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue  # not every supply has every file, and drivers fail to read now and then
