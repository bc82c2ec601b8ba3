"""Ports of 127.0.0.1: held, never shared, refused by name."""

import socket

import pytest

from pipeline.errors import InputError
from pipeline.serving.ports import bind_port
from tests.ports import free_ports


def test_without_a_port_the_next_free_one_is_taken() -> None:
    [start] = free_ports(1)
    bounds = {"first": start, "last": min(start + 50, 65535)}
    with bind_port(None, **bounds) as first, bind_port(None, **bounds) as second:
        ports = [listener.getsockname()[1] for listener in (first, second)]
        assert start <= ports[0] < ports[1] <= bounds["last"]
        assert all(listener.getsockname()[0] == "127.0.0.1" for listener in (first, second))


def test_a_taken_port_is_refused_and_never_shared() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: another program listens there; .* from 7000 on"):
            bind_port(port, first=7000, last=7010)
        with pytest.raises(InputError, match=f"all from {port} to {port} are taken"):
            bind_port(None, first=port, last=port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(InputError, match=f"--port {port}: give one from 1024 to 65535"):
        bind_port(port, first=7000, last=7010)
