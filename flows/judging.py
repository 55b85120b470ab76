"""`pairwright judge`: samples through the sandbox, one JSON line each, with a bar while it runs."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from curation import judging, store
from curation.errors import MissingError, UserError
from curation.judging import Submission
from flows.terminal import Bars, messages
from sandbox.pool import run_many
from sandbox.process import HardeningError
from sandbox.verdict import NO_EVIDENCE, Program


def judge(
    problems: Path,
    samples: Path,
    out: Path | None,
    *,
    workers: int | None,
    mode: Literal["isolated", "fast"],
    require_hardening: bool | None,
) -> int:
    """Judge every sample, print pass@k and programs per second, and return how many lines were no samples.

    The results appear under their name when all are written. A line that is no sample is named on standard error and
    left out; nothing else is lost.
    """
    tasks = judging.read_tasks(problems)
    target = out or samples.with_name(samples.name.removesuffix(".gz").removesuffix(".jsonl") + "_results.jsonl")
    waiting: deque[Submission] = deque()
    bad = 0

    def programs() -> Iterator[Program]:
        nonlocal bad
        for submission in judging.read_submissions(samples, tasks):
            if isinstance(submission, UserError):
                bad += 1
                messages.print(f"pairwright: {submission}: left out", markup=False)
                continue
            waiting.append(submission)
            yield submission.program

    verdicts = []
    begun = time.monotonic()
    with store.replacing(target) as partial, partial.open("w", encoding="utf-8") as stream, Bars() as bars:
        with bars.stage("judge samples") as on_progress, walls_or_missing():
            results = run_many(programs(), workers=workers, mode=mode, require_hardening=require_hardening)
            for result in results:
                row = judging.verdict(waiting.popleft(), result)
                verdicts.append({key: row[key] for key in ("task_id", "status", "passed")})
                stream.write(json.dumps(row) + "\n")
                on_progress(len(verdicts), 0)
    seconds = time.monotonic() - begun
    for k, value in judging.pass_at_k(verdicts).items():
        print(f"pass@{k}: {value:.4f}")
    if unfair := sum(row["status"] in NO_EVIDENCE for row in verdicts):
        print(f"not counted: {unfair} that were refused or never got a fair run")
    print(f"{len(verdicts)} programs in {seconds:.1f} s, {len(verdicts) / max(seconds, 1e-9):.0f} a second")
    print(f"results: {target}")
    return bad


@contextmanager
def walls_or_missing() -> Iterator[None]:
    """A wall that this machine lacks is something missing, and the message names the option of the command line."""
    try:
        yield
    except HardeningError as error:
        raise MissingError(str(error).replace("pass require_hardening=False", "pass --no-require-hardening")) from None
