"""Problems as prompts, and completions as programs.

The standard prompts:

    HumanEval, completion   the problem's prompt itself, to be continued; ends at the next top-level statement
    MBPP, completion        a docstring with the task and one assert, as in the InCoder paper and the BigCode harness
    both, chat              the task (for MBPP with one assert, which names the function) and "one Python code block"
    stdin/stdout            the task, and that it reads standard input and prints
    labelled, both          the question itself
    a bug, chat             the task, which shows the program and the test it fails, and "one Python code block"
    a bug, completion       the task, then the opening of a code block, whose end ends the answer
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curation.extract import extract_code

# Where a continued program ends. HumanEval's five are those of its paper (arXiv 2107.03374, section 2.1).
STOPS = {
    "code": ("\nclass", "\ndef", "\n#", "\nif", "\nprint"),
    "text": ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n```"),
    "stdio": ('\n"""', "\n```"),
    "label": (),
    "bug": ("\n```",),
}


@dataclass(frozen=True)
class Prompt:
    """A problem put to a model in both forms: messages of a chat, and text to continue with where that stops."""

    messages: tuple[dict[str, str], ...]
    text: str
    stop: tuple[str, ...]


def prompt_for(problem: Mapping[str, Any], *, system: str | None = None) -> Prompt:
    """Both forms of a problem (a row of `problems`)."""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question(problem)})
    form = problem["prompt_format"] if problem["kind"] == "function" else problem["kind"]
    form = "bug" if problem.get("buggy_program") else form
    return Prompt(tuple(messages), completion_prompt(problem), STOPS[form])


def question(problem: Mapping[str, Any]) -> str:
    """What a chat model is asked."""
    task = str(problem["prompt"]).strip()
    if problem["kind"] == "label":
        return task
    if problem.get("buggy_program"):
        return f"{task} Answer with one Python code block."
    if problem["prompt_format"] == "code":
        return f"Complete this Python function.\n\n```python\n{task}\n```\n\nAnswer with one Python code block."
    if problem["kind"] == "stdio":
        return f"{task}\n\nRead the input with `input()` and print the answer. Answer with one Python code block."
    example = _example(problem)
    shown = f" It must pass this test:\n\n```python\n{example}\n```\n\n" if example else " "
    return f"{task}\n\nName the function `{problem['entry_point']}`.{shown}Answer with one Python code block."


def completion_prompt(problem: Mapping[str, Any]) -> str:
    """What a model is given to continue."""
    if problem.get("buggy_program"):
        return f"{problem['prompt'].strip()}\n\n```python\n"
    if problem["prompt_format"] == "code" or problem["kind"] == "label":
        return str(problem["prompt"])
    lines = [problem["prompt"].strip(), _example(problem)]
    return '"""\n' + "\n".join(line for line in lines if line) + '\n"""\n'


def code_of(problem: Mapping[str, Any], text: str, *, continues: bool) -> str | None:
    """The program in a completion of a problem; `continues` where the model was given the prompt to go on with.

    An answer to a label problem holds none.
    """
    if problem["kind"] == "label":
        return None
    return extract_code(
        text,
        prompt_format=problem["prompt_format"],
        prompt=problem["prompt"],
        entry_point=problem["entry_point"],
        continues=continues,
    )


def _example(problem: Mapping[str, Any]) -> str:
    """The first test of a function, which shows its name and arguments; nothing for stdio problems."""
    return problem["tests"][0]["code"].strip() if problem["kind"] == "function" else ""
