"""One worker slot: a zygote and a judge, started, fed, watched and restarted by the supervisor that owns them."""

import os
import re
import signal
import socket
import struct
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sandbox.assemble import Round, assemble, describe, is_ending, outcomes, uniform
from sandbox.process import Gone, Process, Role, Settings
from sandbox.verdict import Limits, Program, Result
from sandbox.wire import NONCE_BYTES, READ

_GRACE_SECONDS = 10.0
_ATTEMPTS = 2
_LIMITED = 3  # tests of a stdio program that may run into a limit of steps or time before the rest are given up
_EVALUATION = re.compile(r"\b(?:eval|exec|eval_str)\b")
_AHEAD = struct.pack("ll", 0, 100_000)  # seconds and microseconds that a judge lets programs get ahead of it


class Slot:
    """Judges programs, one after the other or (cheaper) up to `wire.CHUNK` handed over at once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.processes: dict[str, Process] = {}
        self.closing = False
        self.judged = 0

    def judge(self, program: Program) -> Result:
        return self.judge_many([program])[0]

    def judge_many(self, programs: list[Program]) -> list[Result]:
        """The verdicts on at most `wire.CHUNK` programs, each as if it were alone.

        In fast mode a sample, and whatever ended without evidence, is judged again in isolation.
        """
        started = time.monotonic()
        found = self._judge_with("worker", programs)
        alone = [number for number, result in enumerate(found) if result is None]
        apart = iter(self._judge_with("auditor", [programs[number] for number in alone]) if alone else ())
        results = [
            self._checked(program, result) if result is not None else next(apart)
            for program, result in zip(programs, found, strict=True)
        ]
        wall_ms = (time.monotonic() - started) * 1000 / max(1, len(programs))
        return [replace(result, wall_ms=wall_ms) for result in results if result is not None]

    def _checked(self, program: Program, result: Result) -> Result:
        if not self.settings.fast:
            return result
        self.judged += 1
        # A program before it may have left less memory than there should be.
        doubtful = any(test.status in ("killed", "infra_error", "memory_limit") for test in result.tests)
        if doubtful or self.judged % self.settings.audit_every == 0:
            return self._audit(program, result, doubtful)
        return result

    def _audit(self, program: Program, fast: Result, doubtful: bool) -> Result:
        """The isolated verdict, which counts; a difference is reported."""
        (isolated,) = self._judge_with("auditor", [program])
        assert isolated is not None  # what must be alone is so with the auditor
        if isolated.tests != fast.tests and not doubtful:
            where = f"program {program.key!r}: fast mode says {fast.status}, isolated mode {isolated.status}"
            warnings.warn(f"the modes differ on {where}; the isolated verdict counts", RuntimeWarning, stacklevel=2)
        return isolated

    def _judge_with(self, worker: Role, programs: list[Program]) -> list[Result | None]:
        """None for a program that must not share its process with the next ones."""
        results = [self._turned_away(program) for program in programs]
        left = [number for number, program in enumerate(programs) if results[number] is None]
        alone: set[int] = set()
        together = [
            number for number in left if programs[number].kind == "function" and not _evaluates(programs[number])
        ]
        while len(together) > 1:
            rounds = self._chunk(worker, [programs[number] for number in together])
            for number, one in zip(together, rounds, strict=True):
                if one is not None and "alone" in one.ending:
                    alone.add(number)
                elif one is not None:
                    results[number] = assemble(programs[number], [one], self.settings.limits)
            if not any(rounds):
                break
            together = [number for number in together if results[number] is None and number not in alone]
            for number in together[:1]:  # what kept the first of them from its verdict might do so again
                results[number] = self._judge_alone(worker, programs[number])
                alone.add(number)
            del together[:1]
        for number in left:
            if results[number] is None and number not in alone:
                results[number] = self._judge_alone(worker, programs[number])
        return results

    def _judge_alone(self, worker: Role, program: Program) -> Result | None:
        """A program whose worker or judge dies under it is tried once more, then `infra_error`."""
        try:
            return self._tried(worker, program)
        finally:
            if _evaluates(program) and "judge" in self.processes:  # what it answered may have become the judge's code
                self.processes["judge"].kill()
                self._drop("judge")

    def _tried(self, worker: Role, program: Program) -> Result | None:
        problem = ""
        for _ in range(_ATTEMPTS):
            try:
                limits = self.settings.limits
                rounds = self._rounds(worker, program, limits, hurried=True)
                if "again" in rounds[0].verdict:
                    rounds = self._rounds(worker, program, limits, hurried=False)
                if "overrun" in rounds[0].verdict and program.kind == "function":
                    # Over what the program gave, as `range(f(x))` may, or would they run over whatever it gave?
                    (hollow,) = self._rounds(worker, program, limits, hurried=False, hollow=True)
                    # Late while they wait for it, the program is: it must not have the tests blamed by standing still.
                    late = hollow.late and not hollow.verdict.get("waiting")
                    rounds[0].by_answers = not (late or "overrun" in hollow.verdict)
                return None if "alone" in rounds[0].ending else assemble(program, rounds, self.settings.limits)
            except Gone as error:
                if self.closing:
                    raise
                problem = str(error)
        return uniform(program, "infra_error", f"tried {_ATTEMPTS} times: {problem}")

    def _turned_away(self, program: Program) -> Result | None:
        limits = self.settings.limits
        if not program.tests:
            return uniform(program, "infra_error", "the program has no tests")
        if len(program.source) > limits.source_bytes:
            text = f"the source is {len(program.source)} long, at most {limits.source_bytes} is read"
            return uniform(program, "refused", text)
        return None

    def _rounds(
        self, worker: Role, program: Program, limits: Limits, *, hurried: bool, hollow: bool = False
    ) -> list[Round]:
        """One round, or for a stdio program one for each test."""
        if program.kind == "function":
            return [self._round(worker, limits, program.source, "", _tests_of(program, hurried, hollow))]
        rounds: list[Round] = []
        limited = 0
        for test in program.tests:
            judge_job = {"kind": "stdio", "stdout": test.stdout}
            rounds.append(self._round(worker, limits, program.source, test.stdin, judge_job))
            if {"refused", "syntax", "broken", "alone"} & rounds[0].ending.keys():
                return rounds * len(program.tests)
            status = outcomes(rounds[-1], 1, self.settings.limits)[0][0]
            limited += status in ("step_limit", "time_limit")
            if limited == _LIMITED:
                text = f"not run: {_LIMITED} tests before it ended by a limit of steps or time"
                rest = Round(verdict={"tests": [[status, text, ""]]})
                return rounds + [rest] * (len(program.tests) - len(rounds))
        return rounds

    def _round(self, role: Role, limits: Limits, source: str | bytes, stdin: str, judge_job: dict[str, Any]) -> Round:
        (number,) = self._hand_over(role, limits, [(source, stdin, judge_job)])
        return self._replies(role, number)

    def _chunk(self, role: Role, programs: list[Program]) -> list[Round | None]:
        """A round for each program that certainly came to the end it would have come to alone."""
        rounds: list[Round | None] = [None] * len(programs)
        try:
            work = [(one.source, "", _tests_of(one, True)) for one in programs]
            numbers = self._hand_over(role, self.settings.limits, work)
            verdicts = self._gather("judge", len(programs), self.settings.limits.wall_seconds)
            endings = self._gather(role, len(programs), _GRACE_SECONDS)
        except Gone:
            if self.closing:
                raise
            return rounds
        except TimeoutError:
            self._drop("judge")
            self._drop(role)
            return rounds
        for place, (number, verdict, ending) in enumerate(zip(numbers, verdicts, endings, strict=False)):
            if ending.get("job") != number or _contradict(verdict, ending):
                self._drop(role)
                break
            if not ("again" in verdict or "again" in ending or "error" in ending):
                rounds[place] = Round(verdict, ending)
        return rounds

    def _gather(self, role: Role, wanted: int, seconds: float) -> list[dict[str, Any]]:
        """As many replies, each after at most `seconds`; fewer where one says that there will be no more."""
        replies: list[dict[str, Any]] = []
        process = self._process(role)
        while len(replies) < wanted:
            replies += self._receive(role, process, seconds)
            last = replies[-1]
            if "overrun" in last:
                raise Gone("the tests ran over")
            if last.get("spoilt"):  # the tests changed something that outlives them
                process.kill()
                self._drop(role)
                break
            if role != "judge" and "job" not in last:  # the child of a series ended in the middle
                break
        return replies

    def _hand_over(
        self, role: Role, limits: Limits, work: Sequence[tuple[str | bytes, str, dict[str, Any]]]
    ) -> list[str]:
        """Send programs (source, standard input, the judge's job) on their way; the number of each, to be echoed."""
        worker, judge = self._process(role), self._process("judge")
        jobs, judge_jobs, given = [], [], asdict(limits)
        common = {"cap": limits.output_bytes + 4096, "cpu_seconds": limits.cpu_seconds}
        for source, stdin, judge_job in work:
            nonce, number = os.urandom(NONCE_BYTES), os.urandom(NONCE_BYTES).hex()
            job = {"kind": judge_job["kind"], "source": source, "stdin": stdin, "nonce": nonce, "number": number}
            jobs.append(job | {"limits": given})
            judge_jobs.append(judge_job | common | {"nonce": nonce})
        pairs = [socket.socketpair() for _ in work]
        try:
            for _, judges in pairs:
                judges.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _AHEAD)
                judges.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, READ)
            self._send(role, worker, jobs, [theirs.fileno() for theirs, _ in pairs])
            self._send("judge", judge, judge_jobs, [judges.fileno() for _, judges in pairs])
        finally:
            for theirs, judges in pairs:
                theirs.close()
                judges.close()
        return [job["number"] for job in jobs]

    def _replies(self, role: Role, number: str) -> Round:
        limits = self.settings.limits
        worker, judge = self._process(role), self._process("judge")
        outcome = Round()
        try:
            outcome.verdict = self._receive_one("judge", judge, limits.wall_seconds)
        except TimeoutError:
            outcome.late = True
            worker.kill()  # the whole session: the child hangs
            self._drop(role)
            try:
                outcome.verdict = self._receive_one("judge", judge, limits.cpu_seconds + _GRACE_SECONDS)
            except TimeoutError:
                self._drop("judge")
                raise Gone("the judge hangs") from None
            return outcome
        if outcome.verdict.get("overrun"):
            return outcome
        if outcome.verdict.get("spoilt"):  # the tests changed something that outlives them
            judge.kill()
            self._drop("judge")
        try:
            outcome.ending = self._receive_one(role, worker, _GRACE_SECONDS)
        except TimeoutError:
            worker.kill()
            self._drop(role)
            outcome.ending = {"hangs": True}
        if "error" in outcome.ending:
            self._drop(role)
            raise Gone(str(outcome.ending["error"]))
        if self.settings.fast and role == "worker" and "job" not in outcome.ending:
            self._drop(role)  # the child ended, and may have left other words in the socket before it did
        elif outcome.ending.get("job") != number and "hangs" not in outcome.ending:
            raise self._gone(role, Gone("a reply to another program"))
        if _contradict(outcome.verdict, outcome.ending):
            raise self._gone(role, Gone("a refusal of a program that ran"))
        return outcome

    def _send(self, role: Role, process: Process, jobs: list[dict[str, Any]], descriptors: list[int]) -> None:
        try:
            process.send(jobs, descriptors)
        except Gone as error:
            raise self._gone(role, error) from None

    def _receive_one(self, role: Role, process: Process, seconds: float) -> dict[str, Any]:
        """What is said of one program: whoever broke out, or is evaluated by a test, might say more."""
        replies = self._receive(role, process, seconds)
        if len(replies) != 1:
            raise self._gone(role, Gone(f"{len(replies)} replies to one program"))
        return replies[0]

    def _receive(self, role: Role, process: Process, seconds: float) -> list[dict[str, Any]]:
        try:
            replies = process.receive(seconds)
        except Gone as error:
            status = self._drop(role)
            if role == "judge" and status == -signal.SIGXCPU:
                self._drop_workers()
                return [{"overrun": True}]
            raise self._gone(role, error, status) from None
        known = is_ending if role != "judge" else _is_object
        if not isinstance(replies, list) or not replies or not all(map(known, replies)):
            raise self._gone(role, Gone("a reply that makes no sense"))
        return replies

    def _gone(self, role: Role, error: Gone, status: int | None = None) -> Gone:
        """All go, since the others may be in the middle of this program."""
        status = self._drop(role) if status is None else status
        self._drop("judge")
        self._drop_workers()
        return Gone(f"the {role} is gone ({describe(status)}; {error})")

    def _process(self, role: Role) -> Process:
        if role not in self.processes:
            process = self.processes[role] = Process(role, self.settings)
            if self.closing:
                process.kill()
            process.greet(self.settings)
        return self.processes[role]

    def _drop(self, role: Role) -> int:
        process = self.processes.pop(role, None)
        return process.close() if process is not None else 0

    def _drop_workers(self) -> None:
        self._drop("worker")
        self._drop("auditor")

    def kill(self) -> None:
        """From another thread: end whatever runs, so that the slot's own thread comes back."""
        self.closing = True
        for process in list(self.processes.values()):
            process.kill()

    def close(self) -> None:
        self.kill()
        self._drop("judge")
        self._drop_workers()


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _contradict(verdict: dict[str, Any], ending: dict[str, Any]) -> bool:
    """Is a program said never to have run that gave the judge answers? So may speak who broke out in fast mode."""
    tests = verdict.get("tests")
    answered = isinstance(tests, list) and any(type(test) is not list or test[:1] != ["gone"] for test in tests)
    return answered and not {"refused", "syntax", "broken"}.isdisjoint(ending)


def _evaluates(program: Program) -> bool:
    """May the tests evaluate an answer as Python? Then the judge is no other program's any more."""
    texts = (program.setup, *(test.code for test in program.tests))
    return any(("eval" in text or "exec" in text) and _EVALUATION.search(text) for text in texts)


def _tests_of(program: Program, hurried: bool, hollow: bool = False) -> dict[str, Any]:
    """What a judge must know of a function program. `hurried`: foreseen calls are asked for at once.

    `hollow`: the tests get None for every answer, and no assertion of theirs fails.
    """
    tests = tuple(test.code for test in program.tests)
    job = {"kind": "function", "setup": program.setup, "tests": tests, "entry_point": program.entry_point}
    return job | {"required": program.required, "hurried": hurried, "hollow": hollow}
