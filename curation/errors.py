"""What a user can do wrong, said in one line."""

from __future__ import annotations


class UserError(Exception):
    """One line: what was expected, what was found, what to do. The CLI prints it and exits with a non-zero status."""


class MissingError(UserError):
    """Something this machine lacks (a package, a model, a wall of the sandbox); `pairwright doctor` shows them all."""


class UnreachableError(UserError):
    """Something that did not answer: the same call may succeed once it is there again, so flows try again later."""
