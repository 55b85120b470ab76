"""One record of each labelled data set as a task of kind label: MetaMath, ARC, HellaSwag, in their public formats.

The prompts are those of the preference sets of Pal et al. 2024 (arXiv 2402.13228, appendix D): MetaMath's query, ARC's
question without its choices, HellaSwag's context. The one test of such a task is the right answer, as its `stdout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation.asserts import NoTestsError, ProblemError, shorten
from curation.problem_fields import Task, make_task, nested_rows, optional_text, text_of, texts_of


def problem_from_metamath(record: Mapping[str, Any], number: int) -> Task:
    """MetaMathQA's {query, response, type, original_question}. It has no ids, so the record's number serves.

    Raises:
        ProblemError: the query or the response is missing.
    """
    return _labelled(f"MetaMath/{number}", text_of(record, "query"), text_of(record, "response"))


def problem_from_arc(record: Mapping[str, Any]) -> Task:
    """ai2_arc's {id, question, choices: {text, label}, answerKey}; labels are letters or digits, mostly four.

    Raises:
        ProblemError: a key is missing, or the answer is none or several of the choices.
    """
    choices = nested_rows(record.get("choices"), "choices", "label", "text")
    key = record.get("answerKey")
    if not key:
        raise NoTestsError("no answerKey")
    right = [choice["text"] for choice in choices if str(choice["label"]) == str(key)]
    if len(right) != 1:
        labels = ", ".join(str(choice["label"]) for choice in choices) or "none"
        raise ProblemError(f"answerKey must be one of the labels ({labels}), found {shorten(key)}")
    wrong = [choice["text"] for choice in choices if str(choice["label"]) != str(key)]
    return _labelled(text_of(record, "id"), text_of(record, "question"), right[0], wrong)


def problem_from_hellaswag(record: Mapping[str, Any]) -> Task:
    """HellaSwag's {ind, ctx, endings, source_id, label, ...}; the label is the right ending's index, as text or number.

    Its test split has no labels.

    Raises:
        ProblemError: a key is missing, or the label is no index of an ending.
    """
    endings, label = texts_of(record, "endings"), record.get("label")
    if label is None or label == "":
        raise NoTestsError("no label")
    if not str(label).isdecimal() or int(label) >= len(endings):
        raise ProblemError(f"label must be an index of the {len(endings)} endings, found {shorten(label)}")
    right = endings[int(label)]
    wrong = [ending for index, ending in enumerate(endings) if index != int(label)]
    # Numbers are given anew to each of the data set's two sources, so that the source belongs to the name.
    name = "/".join(str(part) for part in (optional_text(record, "source_id"), record.get("ind")) if part is not None)
    if not name:
        raise ProblemError("no 'ind': a record's number is its name")
    return _labelled(name, text_of(record, "ctx"), right, wrong)


def _labelled(name: str, prompt: str, right: str, wrong: list[str] | None = None) -> Task:
    if not right.strip():
        raise ProblemError("the right answer is empty")
    record = {"task_id": name, "prompt": prompt}
    task = make_task(record, "label", [{"code": "", "stdin": "", "stdout": right}])
    if wrong is not None:
        task["choices"] = [right, *wrong]
    return task
