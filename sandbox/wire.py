"""The two kinds of byte stream in the sandbox.

A `Channel` joins one candidate and the judge for one program: frames of nonce, call number and length, then a tree of
`codec`. The nonce is random and new for every program, so a frame left over or made up by another program is seen.
Control messages join the supervisor and its processes: downwards (trusted) marshal and descriptors, upwards JSON.
"""

import array
import json
import marshal
import os
import socket
import struct
import time
from typing import Any

from sandbox.codec import Malformed

_HEADER = struct.Struct("<8sII")
_LENGTH = struct.Struct("<I")
NONCE_BYTES = 8
READ = 1 << 13
_MAX_REPLY = 64 << 20
CHUNK = 32  # programs that are handed over at once, each with its descriptor
_PATIENCE = 0.05


class Closed(Exception):
    """The other end is gone."""


class Channel:
    """One end of a program's stream; `cap` bounds the length of a frame that comes in.

    A judge's descriptor waits until `READ` bytes have come, or the end has (SO_RCVLOWAT), so that it wakes once for all
    answers and not for each. Who has still something to ask is not `greedy`: reads no more than what must come.
    """

    def __init__(self, fd: int, nonce: bytes, cap: int) -> None:
        self.fd, self.nonce, self.cap = fd, nonce, cap
        self.greedy = True
        self._buffer, self._start = bytearray(), 0

    def send(self, number: int, payload: bytes) -> None:
        data = memoryview(_HEADER.pack(self.nonce, number, len(payload)) + payload)
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:
            raise Closed from None

    def receive(self) -> tuple[int, bytes]:
        """The next frame's call number and payload."""
        start = self._fill(_HEADER.size)
        nonce, number, length = _HEADER.unpack_from(self._buffer, start)
        if nonce != self.nonce:
            raise Malformed("a frame with a foreign nonce")
        if length > self.cap:
            raise Malformed(f"a frame of {length} bytes, at most {self.cap} are taken")
        start = self._fill(_HEADER.size + length) + _HEADER.size
        self._start = start + length
        return number, bytes(self._buffer[start : self._start])

    def _fill(self, size: int) -> int:
        """Where in the buffer what was not taken yet starts, once it is that long."""
        buffer = self._buffer
        while len(buffer) - self._start < size:
            del buffer[: self._start]
            self._start = 0
            try:
                data = os.read(self.fd, max(READ if self.greedy else 0, size - len(buffer)))
            except BlockingIOError:  # the descriptor's own time-out, which only `wait` is for
                continue
            except OSError:
                raise Closed from None
            if not data:
                raise Closed
            buffer += data
        return self._start

    def wait(self) -> None:
        """Until something has come (`greedy`: all), or the other end is gone; but no longer than the descriptor's own
        time-out."""
        if self._start == len(self._buffer):
            try:
                self._buffer += os.read(self.fd, READ if self.greedy else _HEADER.size)
            except OSError:
                pass

    def close(self) -> None:
        os.close(self.fd)
        self._buffer.clear()  # the last frame may be as long as a frame can be


def send_down(control: socket.socket, message: Any, fds: list[int]) -> None:
    """A message of marshal's types to one of our own processes, with descriptors."""
    body = marshal.dumps(message)
    data = memoryview(_LENGTH.pack(len(body)) + body)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = control.sendmsg([data], rights)
    if sent < len(data):
        control.sendall(data[sent:])


def receive_down(control: socket.socket) -> tuple[Any, list[int]]:
    """What `send_down` sent; `Closed` when the supervisor is gone."""
    space = socket.CMSG_SPACE(CHUNK * array.array("i").itemsize)
    data, ancillary, _, _ = control.recvmsg(READ, space)
    fds = array.array("i")
    for _, _, rights in ancillary:
        fds.frombytes(rights[: len(rights) - len(rights) % fds.itemsize])
    if len(data) < _LENGTH.size:
        raise Closed
    (length,) = _LENGTH.unpack_from(data)
    parts, left = [data[_LENGTH.size :]], length - (len(data) - _LENGTH.size)
    while left > 0:
        data = os.read(control.fileno(), left)
        if not data:
            raise Closed
        parts.append(data)
        left -= len(data)
    return marshal.loads(b"".join(parts)), list(fds)


def send_up(control: int, message: Any) -> None:
    """A JSON message to the supervisor."""
    data = json.dumps(message).encode()
    data = _LENGTH.pack(len(data)) + data
    while data:
        data = data[os.write(control, data) :]


class Replies:
    """JSON objects to the supervisor, in their order, several in one message. Only quick ones wait for the next."""

    def __init__(self, control: int) -> None:
        self.control = control
        self.waiting: list[dict[str, Any]] = []
        self.since = time.monotonic()

    def add(self, reply: dict[str, Any]) -> None:
        self.waiting.append(reply)
        if time.monotonic() - self.since > _PATIENCE:
            self.send()

    def send(self) -> None:
        if self.waiting:
            send_up(self.control, self.waiting)
        self.waiting, self.since = [], time.monotonic()


def receive_up(control: socket.socket, seconds: float) -> Any:
    """What `send_up` sent, from a process that is not trusted: TimeoutError, `Closed` or `Malformed` else.

    All of it must be there after `seconds`: one byte after the other would otherwise keep us waiting for ever.
    """
    end = time.monotonic() + seconds
    try:
        (length,) = _LENGTH.unpack(_exactly(control, _LENGTH.size, end))
        if length > _MAX_REPLY:
            raise Malformed(f"a message of {length} bytes")
        return json.loads(_exactly(control, length, end))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no message: {type(error).__name__}") from None
    except ConnectionError:
        raise Closed from None


def _exactly(control: socket.socket, size: int, end: float) -> bytes:
    parts: list[bytes] = []
    while size:
        # Never 0, which would mean not to wait at all: what has come already is read even when it is late.
        control.settimeout(max(end - time.monotonic(), 0.001))
        data = control.recv(min(size, 1 << 20))
        if not data:
            raise Closed
        parts.append(data)
        size -= len(data)
        if size and time.monotonic() > end:
            raise TimeoutError("half a message")
    return b"".join(parts)
