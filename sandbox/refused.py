"""What the language layer refuses, and how it says so."""

from typing import Any, NamedTuple


class Violation(NamedTuple):
    """One refused construct: its line, the rule's name, and a sentence."""

    line: int
    rule: str
    message: str


def _is_exactly(value: object, kind: type) -> bool:
    return type(value) is kind


class _Given:
    """`Refused.violations`: those it was made with; a `finally` of the program's may put others there.

    No property, which may be given another function by its `__init__`: that would run when nothing more should.
    """

    __slots__ = ()

    def __get__(self, error: BaseException | None, kind: type | None = None) -> tuple[Violation, ...]:
        given: tuple[Any, ...] = () if error is None else BaseException.args.__get__(error)  # type: ignore[attr-defined]
        return tuple(v for v in given if type(v) is Violation and all(map(_is_exactly, v, (int, str, str))))


class Refused(BaseException):
    """The policy does not allow this program; no evidence about whether it is right.

    Not an Exception, so that a program refused while it runs cannot catch it.
    """

    violations = _Given()

    def __init__(self, *violations: Violation) -> None:
        super().__init__(*violations)

    def __str__(self) -> str:
        return "; ".join(
            f"line {v.line}: {v.message} [{v.rule}]" if v.line else f"{v.message} [{v.rule}]" for v in self.violations
        )
