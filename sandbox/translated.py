"""Sources made into code, or into words about what is wrong with them, for the zygote and its children."""

from dataclasses import dataclass, replace
from types import CodeType
from typing import Any

from sandbox.child import Language

_MESSAGE_CHARS = 500


@dataclass(frozen=True, slots=True)
class Translated:
    """A program's code, or what is wrong with it in words.

    `apart`: it is to run in a process of its own. `exhausting`: it was given up for want of memory.
    """

    code: CodeType | None = None
    apart: bool = False
    problem: dict[str, Any] | None = None
    exhausting: bool = False

    def unrun(self) -> "Translated":
        """The same with code that has not run: what runs often is specialised, and then takes less of the stack."""
        return self if self.code is None else replace(self, code=_unrun(self.code))


def _unrun(code: CodeType) -> CodeType:
    return code.replace(co_consts=tuple(_unrun(part) if type(part) is CodeType else part for part in code.co_consts))


class Translations:
    """Translates; the last one is kept, since the tests of a stdio program share it."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.source: str | bytes | None = None
        self.translated = Translated()
        self.refused: tuple[type[BaseException], ...] = ()
        if language.layer:
            from sandbox.refused import Refused

            self.refused = (Refused,)

    def translate(self, source: str | bytes) -> Translated:
        """The program's code, which nobody else was given, or what is wrong with it."""
        if source == self.source:
            return self.translated.unrun()
        self.source, self.translated = source, self._examine(source)
        return self.translated

    def _examine(self, source: str | bytes) -> Translated:
        problem: dict[str, Any]
        exhausting = False
        try:
            return Translated(*self._compile(source))
        except SyntaxError as error:
            exhausting = isinstance(error.__cause__, MemoryError)
            problem = {"syntax": type(error).__name__, "message": str(error)[:_MESSAGE_CHARS]}
        except self.refused as error:
            problem = {"refused": str(error)[:_MESSAGE_CHARS], "violations": getattr(error, "violations", ())}
        except Exception as error:  # a bug of ours: it must cost this program's verdict and not the worker
            exhausting = isinstance(error, MemoryError)
            problem = {"broken": f"the translator failed: {type(error).__name__}: {error}"[:_MESSAGE_CHARS]}
        return Translated(problem=problem, exhausting=exhausting)

    def _compile(self, source: str | bytes) -> tuple[CodeType, bool]:
        if not self.language.layer:
            try:
                return compile(source, "<program>", "exec", dont_inherit=True), False
            except (ValueError, MemoryError) as error:  # a NUL byte, on Python 3.11
                raise SyntaxError(str(error)) from error
        from sandbox.translate import examine

        return examine(source, allow_modules=self.language.allow_modules)
