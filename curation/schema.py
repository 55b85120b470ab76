"""The tables of a dataset version: every column declared once, with a sentence that says what it holds.

A stage reads some of these tables from a dataset folder and writes one of them. `store` is the only writer and
reader; `manifest` seals the folder. Column sentences become Parquet field metadata, comments in the DuckDB catalog
and the dataset card's feature list.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import pyarrow as pa

DOC = b"doc"
MEASURED = b"measured"

# What sandbox.verdict calls the outcomes of a program. Repeated here only as the column's sentence.
_STATUS_DOC = (
    "verdict: passed, wrong, exception, step_limit, time_limit, memory_limit, output_limit, refused, killed, infra_error"
)


@dataclass(frozen=True)
class Table:
    """One table: its Arrow schema, its primary key, and the sentence that says what a row is."""

    name: str
    schema: pa.Schema
    key: str
    row: str

    @property
    def measured(self) -> frozenset[str]:
        """Columns that hold a measurement of this run (milliseconds, bytes): not part of the version's identity."""
        return frozenset(field.name for field in self.schema if field.metadata.get(MEASURED) == b"yes")

    def doc(self, column: str) -> str:
        """The sentence of one column."""
        return self.schema.field(column).metadata[DOC].decode()


def column(name: str, kind: pa.DataType, doc: str, *, nullable: bool = False, measured: bool = False) -> pa.Field:
    """A field with its sentence. `nullable=True` means "null where it does not apply", and the sentence says when."""
    metadata = {DOC: doc.encode()} | ({MEASURED: b"yes"} if measured else {})
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


def identify(*parts: object) -> str:
    """The id of what `parts` name: 20 hexadecimal digits (80 bits) of the SHA-256 of their JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    # surrogatepass: model output may hold lone surrogates, and an id must exist for it all the same.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


TEST = pa.struct(
    [
        column("code", pa.string(), "Python that asserts something of the candidate; empty for stdio problems"),
        column("stdin", pa.string(), "standard input of the run; empty for function problems"),
        column("stdout", pa.string(), "standard output expected of the run; empty for function problems"),
    ]
)

_SPLIT = column("split", pa.string(), "the split the problem belongs to, as in train or test")
_PROBLEM_ID = column("problem_id", pa.string(), "the problem this row belongs to")

PROBLEMS = Table(
    "problems",
    pa.schema(
        [
            column("problem_id", pa.string(), "hash of source, task_id, prompt and tests"),
            column("task_id", pa.string(), "the problem's name at its source, as in HumanEval/0"),
            column("source", pa.string(), "where it came from: humaneval, mbpp, builtin, a file or a Hub repository"),
            column("source_revision", pa.string(), "sha256 of the file or commit of the repository it was read from"),
            column("license", pa.string(), "licence of the source, as an SPDX id where there is one"),
            _SPLIT,
            column("kind", pa.string(), "function: tests call it; stdio: tests feed standard input"),
            column("prompt_format", pa.string(), "code: the prompt is source to continue; text: it states the task"),
            column("prompt", pa.string(), "the task as its source states it, before any chat template"),
            column("entry_point", pa.string(), "name of the function under test; null for stdio", nullable=True),
            column("setup", pa.string(), "trusted Python run after the solution and before the tests; may be empty"),
            column("tests", pa.list_(pa.field("element", TEST, nullable=False)), "the tests, each worth one share"),
            column("reference_solution", pa.string(), "a program known to pass; null where none came", nullable=True),
            column("difficulty", pa.int8(), "grade at the source, 1 = easiest; null where it has none", nullable=True),
        ]
    ),
    key="problem_id",
    row="one task with its tests",
)

COMPLETIONS = Table(
    "completions",
    pa.schema(
        [
            column("completion_id", pa.string(), "hash of problem, model, sampling, sample_index and text"),
            _PROBLEM_ID,
            _SPLIT,
            column("sample_index", pa.int32(), "0-based number of the sample among its problem's"),
            column("prompt", pa.string(), "the text the model saw, chat template applied"),
            column(
                "prompt_token_ids", pa.list_(pa.int32()), "the prompt as the model saw it; null if unknown", nullable=True
            ),
            column("text", pa.string(), "what the model wrote, untouched"),
            column("code", pa.string(), "the program taken from the text; null where it holds none", nullable=True),
            column("token_ids", pa.list_(pa.int32()), "tokens as sampled, end token included; null if unknown", nullable=True),
            column(
                "token_logps",
                pa.list_(pa.float32()),
                "log-probability in nats of each sampled token before temperature; null if unknown",
                nullable=True,
            ),
            column("sum_logp", pa.float64(), "sum of token_logps in nats; null if unknown", nullable=True),
            column("num_tokens", pa.int32(), "number of sampled tokens; null if unknown", nullable=True),
            column("finish_reason", pa.string(), "stop, length, or null if unknown", nullable=True),
            column("sampler", pa.string(), "vllm, openai, replay or scripted"),
            column("model", pa.string(), "the model that wrote it"),
            column("model_revision", pa.string(), "commit or content hash of the model; null if unknown", nullable=True),
            column("temperature", pa.float32(), "sampling temperature; null if unknown", nullable=True),
            column("top_p", pa.float32(), "nucleus sampling mass; null if unknown", nullable=True),
            column("max_tokens", pa.int32(), "limit on sampled tokens; null if unknown", nullable=True),
            column("seed", pa.int64(), "seed the sampling was derived from; null if unknown", nullable=True),
        ]
    ),
    key="completion_id",
    row="one sample of the model for one problem",
)

EXECUTIONS = Table(
    "executions",
    pa.schema(
        [
            column("completion_id", pa.string(), "the completion that was run"),
            _PROBLEM_ID,
            _SPLIT,
            column("status", pa.string(), _STATUS_DOC),
            column("test_status", pa.list_(pa.string()), "the verdict on each test, in the problem's order"),
            column("num_passed", pa.int32(), "tests passed"),
            column("num_tests", pa.int32(), "tests of the problem"),
            column("score", pa.float64(), "share of tests passed, 0 to 1"),
            column("error_type", pa.string(), "exception class of the first failing test; null if none", nullable=True),
            column("error_message", pa.string(), "what it said, addresses masked; null if none", nullable=True),
            column("steps", pa.int64(), "loop iterations and calls counted; the same on every machine"),
            column("cpu_ms", pa.float64(), "processor time in milliseconds", measured=True),
            column("wall_ms", pa.float64(), "elapsed time in milliseconds", measured=True),
            column("peak_kb", pa.int64(), "peak resident memory in KiB", measured=True),
            column("policy_digest", pa.string(), "hash of the sandbox policy that judged it"),
        ]
    ),
    key="completion_id",
    row="one completion's run against its problem's tests",
)

PAIRS = Table(
    "pairs",
    pa.schema(
        [
            column("pair_id", pa.string(), "hash of strategy, chosen_id and rejected_id"),
            _PROBLEM_ID,
            _SPLIT,
            column("strategy", pa.string(), "the rule that made the pair, as in best_worst"),
            column("prompt", pa.string(), "the text the model saw, chat template applied"),
            column("chosen", pa.string(), "text of the preferred completion"),
            column("rejected", pa.string(), "text of the other completion"),
            column("chosen_id", pa.string(), "completion_id of the preferred completion"),
            column("rejected_id", pa.string(), "completion_id of the other completion"),
            column("chosen_score", pa.float64(), "share of tests the preferred one passed"),
            column("rejected_score", pa.float64(), "share of tests the other one passed"),
            column(
                "ref_chosen_logps",
                pa.float64(),
                "summed log-probability of chosen as its sampler measured it, in nats: for ordering; null if unknown",
                nullable=True,
            ),
            column(
                "ref_rejected_logps",
                pa.float64(),
                "summed log-probability of rejected as its sampler measured it, in nats: for ordering; null if unknown",
                nullable=True,
            ),
        ]
    ),
    key="pair_id",
    row="one preference between two completions of a problem",
)

PAIR_FEATURES = Table(
    "pair_features",
    pa.schema(
        [
            column("pair_id", pa.string(), "the pair measured"),
            _PROBLEM_ID,
            _SPLIT,
            column(
                "logp_distance",
                pa.float64(),
                "absolute difference of the summed log-probabilities in nats; null where a side has none",
                nullable=True,
            ),
            column("edit_distance", pa.int32(), "Levenshtein distance of the two texts in characters"),
            column("edit_normalized", pa.float64(), "edit_distance over the longer text's length, 0 to 1"),
            column("test_gap", pa.float64(), "chosen_score minus rejected_score"),
        ]
    ),
    key="pair_id",
    row="the measures of one pair",
)

CURRICULUM = Table(
    "curriculum",
    pa.schema(
        [
            column("pair_id", pa.string(), "the pair placed"),
            _PROBLEM_ID,
            _SPLIT,
            column("position", pa.int64(), "0-based place in training order; null where pruned", nullable=True),
            column("bucket", pa.int32(), "0-based bucket, 0 = trained first; null where pruned", nullable=True),
            column("metric", pa.float64(), "the value of the curriculum's metric; null where not measured", nullable=True),
            column("pruned_by", pa.string(), "the first pruning rule that named the pair; null if kept", nullable=True),
        ]
    ),
    key="pair_id",
    row="one pair's place in training, or the rule that pruned it",
)

TABLES: dict[str, Table] = {
    table.name: table for table in (PROBLEMS, COMPLETIONS, EXECUTIONS, PAIRS, PAIR_FEATURES, CURRICULUM)
}
