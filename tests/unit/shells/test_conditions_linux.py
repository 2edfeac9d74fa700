"""Power supplies as the kernel shows them; metered and idle from services on a real D-Bus."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dreamshare_edge.conditions import Conditions, DeviceConditions, Refreshed, conditions_of
from dreamshare_edge.conditions_linux import (
    IDLE,
    METERED,
    LinuxConditions,
    ServiceProperty,
    ask_system_bus,
    power_of,
)
from tests.services import need, tethered

pytestmark = pytest.mark.timeout(60)


def supplies(folder: Path, **each: Mapping[str, str]) -> Path:
    for name, files in each.items():
        (folder / name).mkdir(parents=True)
        for file, text in files.items():
            (folder / name / file).write_text(text + "\n")
    return folder


MAINS = {"type": "Mains", "online": "1"}
NO_MAINS = {"type": "Mains", "online": "0"}
MOUSE = {"type": "Battery", "scope": "Device", "capacity": "3", "status": "Discharging"}


def battery(percent: str, status: str) -> Mapping[str, str]:
    return {"type": "Battery", "capacity": percent, "status": status}


@pytest.mark.parametrize(
    ("found", "charging", "level"),
    [
        ({}, True, 100),  # a board without a battery
        ({"AC": MAINS}, True, 100),
        ({"AC": MAINS, "BAT0": battery("80", "Charging")}, True, 80),
        ({"AC": NO_MAINS, "BAT0": battery("80", "Discharging")}, False, 80),
        ({"BAT0": battery("55", "Discharging")}, False, 55),
        ({"BAT0": battery("55", "Unknown")}, None, 55),
        ({"BAT0": battery("99", "Full"), "BAT1": battery("12", "Discharging")}, True, 12),
        ({"AC": NO_MAINS, "BAT0": {"type": "Battery", "status": "Discharging"}}, False, None),
        ({"AC": MAINS, "mouse": MOUSE}, True, 100),
        ({"mouse": MOUSE}, True, 100),
        ({"usb": {"type": "USB", "online": "2"}, "BAT0": battery("7", "Unknown")}, True, 7),
    ],
)
def test_power(
    tmp_path: Path, found: dict[str, Mapping[str, str]], charging: bool | None, level: int | None
) -> None:
    (tmp_path / "power").mkdir()
    assert power_of(supplies(tmp_path / "power", **found)) == (charging, level)


def test_a_machine_without_that_folder_cannot_tell(tmp_path: Path) -> None:
    assert power_of(tmp_path / "nowhere") == (None, None)


@pytest.mark.parametrize(
    ("metered", "unmetered"),
    [(0, None), (1, False), (2, True), (3, False), (4, True), (None, None)],
)
def test_metered_as_network_manager_says(
    tmp_path: Path, metered: int | None, unmetered: bool | None
) -> None:
    conditions = LinuxConditions(tmp_path, lambda asked: metered if asked is METERED else True)
    assert conditions.read() == Conditions(charging=True, battery=100)
    conditions.refresh()
    assert conditions.read() == Conditions(True, unmetered, idle=True, battery=100)


def test_what_settings_name() -> None:
    assert isinstance(conditions_of("linux"), LinuxConditions)
    assert not isinstance(conditions_of("none"), Refreshed)
    source: DeviceConditions = conditions_of("auto")
    assert isinstance(source, Refreshed)


class Service(threading.Thread):
    """A service on a bus that answers for its properties."""

    def __init__(self, bus: str, wanted: ServiceProperty, kind: str, value: object) -> None:
        super().__init__(daemon=True)
        from jeepney.bus_messages import message_bus
        from jeepney.io.blocking import open_dbus_connection

        self._connection = open_dbus_connection(bus)
        self._connection.send_and_get_reply(message_bus.RequestName(wanted.service), timeout=5)
        self._answer = (kind, value)
        self._wanted = wanted

    def run(self) -> None:
        from jeepney import MessageType, new_error, new_method_return

        while True:
            try:
                asked = self._connection.receive()
            except OSError:
                self._connection.close()
                return
            if asked.header.message_type is not MessageType.method_call:
                continue
            if asked.body == (self._wanted.interface, self._wanted.name):
                self._connection.send(new_method_return(asked, "v", (self._answer,)))
            else:
                self._connection.send(new_error(asked, "org.freedesktop.DBus.Error.InvalidArgs"))


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    (daemon,) = need("D-Bus", "dbus-daemon")
    config = tmp_path / "bus.conf"
    config.write_text(
        "<busconfig><type>session</type>"
        f"<listen>unix:path={tmp_path}/bus</listen><policy context='default'>"
        "<allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/><allow own='*'/>"
        "</policy></busconfig>"
    )
    command = tethered([daemon, "--nofork", "--print-address", f"--config-file={config}"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def test_services_are_asked_over_dbus(bus: str, tmp_path: Path) -> None:
    Service(bus, METERED, "u", 2).start()
    Service(bus, IDLE, "b", False).start()
    conditions = LinuxConditions(tmp_path, lambda wanted: ask_system_bus(wanted, bus))
    conditions.refresh()
    found = conditions.read()
    assert (found.unmetered, found.idle) == (True, False)


def test_a_bus_without_the_service_cannot_tell(bus: str, tmp_path: Path) -> None:
    assert ask_system_bus(METERED, bus) is None
    Service(bus, METERED, "u", 1).start()
    assert ask_system_bus(METERED, bus) == 1
    unknown = ServiceProperty(METERED.service, METERED.path, METERED.interface, "Colour")
    assert ask_system_bus(unknown, bus) is None


def test_a_machine_without_a_bus_cannot_tell(tmp_path: Path) -> None:
    assert ask_system_bus(METERED, f"unix:path={tmp_path}/nothing") is None
