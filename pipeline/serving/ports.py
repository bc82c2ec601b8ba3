"""Ports: --port -> a port of 127.0.0.1 that is held, or a refusal."""

import errno
import socket

from pipeline.errors import InputError

LOOPBACK = "127.0.0.1"


def bind_port(port: int | None, *, first: int, last: int) -> socket.socket:
    """Take a port of 127.0.0.1, before anything slow; nobody is answered yet.

    Args:
        port: that one; None: the first free one from `first` to `last`.

    Raises:
        InputError: the port is taken, or is none, or none is free.
    """
    if port is not None and not 0 < port <= 65535:
        raise InputError(f"--port {port}: give one from 1024 to 65535")
    for number in [port] if port else range(first, last + 1):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that ended just now does not count
        try:
            listener.bind((LOOPBACK, number))
            listener.listen()
            return listener
        except OSError as error:
            listener.close()
            if port and error.errno == errno.EADDRINUSE:
                raise InputError(
                    f"--port {port}: another program listens there; end it, give another, or leave --port out: the "
                    f"next free one from {first} on is taken then"
                ) from error
            if port:
                raise InputError(f"--port {port}: {error.strerror}; give one from 1024 to 65535") from error
    raise InputError(f"--port: all from {first} to {last} are taken; give another")
