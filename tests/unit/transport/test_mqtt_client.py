"""aiomqtt's client as it is used here: what it does to the event loop when a broker goes."""

from __future__ import annotations

import asyncio
import socket

from paho.mqtt.client import Client as PahoClient
from paho.mqtt.enums import CallbackAPIVersion

from dreamshare.transport.mqtt.address import parse_broker
from dreamshare.transport.mqtt.client import BrokerClient, Stay, Will


class Broken(PahoClient):
    """What paho says of a socket that it still has something for, or no more."""

    def __init__(self, sock: socket.socket | None) -> None:
        super().__init__(CallbackAPIVersion.VERSION2)
        self.place = sock

    def socket(self) -> socket.socket | None:
        return self.place

    def want_write(self) -> bool:
        return True


def client() -> BrokerClient:
    stay = Stay("a" * 32, 8, 0, 60)
    return BrokerClient(parse_broker("mqtt://127.0.0.1:1883"), None, stay, Will("t", b"", 0), 1.0)


async def test_a_socket_that_closes_at_once_leaves_nothing_behind_in_the_loop() -> None:
    """Its number may be another connection's in the next turn."""
    loop, complaints = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    one, other = socket.socketpair()
    made, paho = client(), Broken(one)
    made._on_socket_register_write(paho, None, one)
    made._on_socket_unregister_write(paho, None, one)
    number, paho.place = one.fileno(), None
    one.close()
    other.close()
    await asyncio.sleep(0)
    assert complaints == []
    assert not loop.remove_writer(number)


async def test_a_connection_that_closed_before_its_thread_was_heard_is_left_alone() -> None:
    loop, complaints = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    one, other = socket.socketpair()
    made, paho = client(), Broken(one)
    await asyncio.to_thread(made._on_socket_register_write, paho, None, one)
    number, paho.place = one.fileno(), None
    await asyncio.sleep(0)
    assert complaints == []
    loop.remove_writer(number)
    one.close()
    other.close()
