"""Standard input and output of a program: in memory, capped, and shaped like the real ones."""

import io
from typing import Any

from sandbox.stops import OutputLimit, stop


class InputBuffer(io.BytesIO):
    """sys.stdin.buffer. No BufferedReader, which lends its memory to any `raw` that it is given, and then frees it."""

    mode = "rb"
    name = "<stdin>"

    @property
    def raw(self) -> "InputBuffer":
        return self

    def peek(self, size: int = 0, /) -> bytes:
        with self.getbuffer() as data:
            return bytes(data[self.tell() : self.tell() + io.DEFAULT_BUFFER_SIZE])

    def fileno(self) -> int:
        return 0


class Input(io.TextIOWrapper):
    """sys.stdin."""

    mode = "r"
    name = "<stdin>"

    def __init__(self, data: InputBuffer) -> None:
        super().__init__(data, encoding="utf-8")

    def fileno(self) -> int:
        return 0


class Output:
    """What the program printed so far. `text` holds it all; surrogates carry bytes that were written as bytes."""

    def __init__(self, limit: int) -> None:
        self.text = io.StringIO(newline="\n")
        self.limit = limit

    def check(self) -> None:
        if self.text.tell() > self.limit:
            stop(OutputLimit(f"more than {self.limit} characters of output"))

    def value(self) -> str:
        return self.data().decode("utf-8", "replace")

    def data(self) -> bytes:
        """The same as bytes: those written as bytes are as they were."""
        try:
            text = self.text.getvalue()
        except ValueError:  # the program closed it
            return b""
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return text.encode("utf-8", "replace")


class Kept(Output):
    """Standard error: what goes beyond the limit is dropped, since no verdict depends on it."""

    def check(self) -> None:
        if self.text.tell() > self.limit:
            self.text.seek(self.limit)
            self.text.truncate()


class TextOutput(io.TextIOBase):
    """sys.stdout; with `output` None sys.stderr, which forgets."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self, output: Output | None, number: int) -> None:
        self._sandbox_output, self._sandbox_number = output, number
        self.name = "<stdout>" if number == 1 else "<stderr>"
        self.mode = "w"
        self.buffer = BinaryOutput(output, number)

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        output = self._sandbox_output
        if output is not None:
            output.text.write(text)
            output.check()
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._sandbox_number

    def close(self) -> None:
        """Stays open: what was printed counts."""


class BinaryOutput(io.BufferedIOBase):
    """sys.stdout.buffer."""

    def __init__(self, output: Output | None, number: int) -> None:
        self._sandbox_output, self._sandbox_number = output, number

    def write(self, data: Any, /) -> int:
        data = bytes(memoryview(data))
        if self._sandbox_output is not None:
            self._sandbox_output.text.write(data.decode("utf-8", "surrogateescape"))
            self._sandbox_output.check()
        return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._sandbox_number

    def close(self) -> None:
        """Stays open."""
