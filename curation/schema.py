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
    "verdict: passed, wrong, exception, step_limit, time_limit, memory_limit, output_limit, refused, killed, "
    "infra_error"
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
        column(
            "stdout",
            pa.string(),
            "standard output expected of the run, or the right answer of a label problem; empty for function problems",
        ),
    ]
)

STEP_END = pa.struct(
    [
        column("chars", pa.int32(), "characters of the text up to there"),
        column("tokens", pa.int32(), "tokens up to there"),
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
            column(
                "kind",
                pa.string(),
                "function: tests call it; stdio: tests feed standard input; label: answers are known, nothing is run",
            ),
            column("prompt_format", pa.string(), "code: the prompt is source to continue; text: it states the task"),
            column("prompt", pa.string(), "the task as its source states it, before any chat template"),
            column("entry_point", pa.string(), "name of the function under test; null for stdio", nullable=True),
            column("setup", pa.string(), "trusted Python run after the solution and before the tests; may be empty"),
            column("tests", pa.list_(pa.field("element", TEST, nullable=False)), "the tests, each worth one share"),
            column("reference_solution", pa.string(), "a program known to pass; null where none came", nullable=True),
            column("difficulty", pa.int8(), "grade at the source, 1 = easiest; null where it has none", nullable=True),
            column(
                "buggy_program", pa.string(), "the program to repair; null where one is to be written", nullable=True
            ),
            column(
                "choices",
                pa.list_(pa.field("element", pa.string(), nullable=False)),
                "answers a label problem offers, the right one first; null where none are offered",
                nullable=True,
            ),
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
                "prompt_token_ids",
                pa.list_(pa.int32()),
                "the prompt as the model saw it; null if unknown",
                nullable=True,
            ),
            column("text", pa.string(), "what the model wrote, untouched"),
            column("code", pa.string(), "the program taken from the text; null where it holds none", nullable=True),
            column(
                "token_ids",
                pa.list_(pa.int32()),
                "tokens as sampled, end token included; null if unknown",
                nullable=True,
            ),
            column(
                "token_logps",
                pa.list_(pa.float32()),
                "log-probability in nats of each sampled token before temperature; null if unknown",
                nullable=True,
            ),
            column("sum_logp", pa.float64(), "sum of token_logps in nats; null if unknown", nullable=True),
            column("num_tokens", pa.int32(), "number of sampled tokens; null if unknown", nullable=True),
            column("finish_reason", pa.string(), "stop, length, or null if unknown", nullable=True),
            column(
                "step_ends",
                pa.list_(pa.field("element", STEP_END, nullable=False)),
                "where each step of the text ends, at the first boundary of tokens; null where not looked for",
                nullable=True,
            ),
            column(
                "origin_id",
                pa.string(),
                "completion of the same problem that this one continues or changes; null where it was made whole",
                nullable=True,
            ),
            column(
                "prefix_tokens",
                pa.int32(),
                "first tokens, taken over from the origin; null where it continues none",
                nullable=True,
            ),
            column(
                "mutation", pa.string(), "kind of change to the origin, as in operator; null if none", nullable=True
            ),
            column("span_start", pa.int32(), "first changed character, 0-based; null where not mutated", nullable=True),
            column("span_end", pa.int32(), "end of the changed characters, exclusive; null likewise", nullable=True),
            column(
                "origin_span_end",
                pa.int32(),
                "end of what they replace in the origin's text; null likewise",
                nullable=True,
            ),
            column("sampler", pa.string(), "vllm, openai, replay, scripted, reference, mutation or labelled"),
            column("model", pa.string(), "the model that wrote it"),
            column(
                "model_revision", pa.string(), "commit or content hash of the model; null if unknown", nullable=True
            ),
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
            column("num_passed", pa.int32(), "how many of its tests passed"),
            column("num_tests", pa.int32(), "how many tests the problem has"),
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

# No ref_chosen_logps and ref_rejected_logps here: TRL takes them for a DPO reference where they are filled and stops at
# the first null. The sampler's sums are in `completions`, for ordering; a reference comes from the trainer's own pass.
PAIRS = Table(
    "pairs",
    pa.schema(
        [
            column("pair_id", pa.string(), "hash of strategy, chosen_id and rejected_id"),
            _PROBLEM_ID,
            _SPLIT,
            column("strategy", pa.string(), "the rule that made the pair, as in best_worst"),
            column("prompt", pa.string(), "the text the model saw, chat template applied"),
            column(
                "prefix",
                pa.string(),
                "start of both sides that no loss counts; null where whole completions are compared",
                nullable=True,
            ),
            column("chosen", pa.string(), "text of the preferred side, prefix included"),
            column("rejected", pa.string(), "text of the other side, prefix included"),
            column("prefix_tokens", pa.int32(), "tokens of the prefix; null where there is none", nullable=True),
            column(
                "chosen_tokens",
                pa.int32(),
                "first tokens of the completion that the chosen side ends after; null where it is whole",
                nullable=True,
            ),
            column("rejected_tokens", pa.int32(), "the same of the rejected side", nullable=True),
            column("chosen_id", pa.string(), "completion_id of the preferred completion"),
            column("rejected_id", pa.string(), "completion_id of the other completion"),
            column("chosen_score", pa.float64(), "share of tests the preferred one passed"),
            column("rejected_score", pa.float64(), "share of tests the other one passed"),
        ]
    ),
    key="pair_id",
    row="one preference between two completions of a problem",
)


def _measure(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    """A nullable measure: null where it cannot be taken."""
    return column(name, kind, doc, nullable=True)


PROBLEM_FEATURES = Table(
    "problem_features",
    pa.schema(
        [
            _PROBLEM_ID,
            _SPLIT,
            _measure("duplicate_of", pa.string(), "the earlier problem whose statement this one repeats; null if none"),
            _measure("similarity", pa.float64(), "how alike the words of both statements are, 0 to 1; null likewise"),
            _measure("contaminated_by", pa.string(), "the benchmark task it overlaps, as in mbpp 7; null if none"),
            _measure("contaminated_rule", pa.string(), "ngram or name (fewer words beside its name); null likewise"),
            _measure("contaminated_passage", pa.string(), "the passage of the statement that matches; null likewise"),
        ]
    ),
    key="problem_id",
    row="the measures of one problem",
)

HOPELESS_PROBLEMS = Table(
    "hopeless_problems",
    pa.schema(
        [
            _PROBLEM_ID,
            _SPLIT,
            column("task_id", pa.string(), "the problem's own name in its source"),
            column("num_judged", pa.int32(), "its samples that got a fair run; none of them passed"),
            column("best_score", pa.float64(), "how far they got: the highest share of tests passed, 0 to below 1"),
            column("best_completion_id", pa.string(), "the sample that got there; the first by id of several"),
            column("usual_status", pa.string(), "their most frequent verdict"),
            _measure("usual_error", pa.string(), "their most frequent exception class; null if none raised one"),
            _measure("difficulty", pa.int8(), "the problem's own difficulty; null if unknown"),
            column("prompt_chars", pa.int32(), "length of its statement in characters"),
            column("num_tests", pa.int32(), "how many tests it has"),
        ]
    ),
    key="problem_id",
    row="one problem that no sample solved",
)

COMPLETION_FEATURES = Table(
    "completion_features",
    pa.schema(
        [
            column("completion_id", pa.string(), "the completion measured"),
            _PROBLEM_ID,
            _SPLIT,
            column("num_chars", pa.int32(), "length of the text in characters"),
            column("num_lines", pa.int32(), "lines of the text"),
            column("parses", pa.bool_(), "whether its code is Python; false where it holds none"),
            column(
                "comment_share",
                pa.float64(),
                "comments' share of the code's characters; null without code",
                nullable=True,
            ),
            column(
                "docstring_share",
                pa.float64(),
                "docstrings' share of the code's characters; null where it does not parse",
                nullable=True,
            ),
            column(
                "example_calls",
                pa.int32(),
                "calls outside functions and classes, prints not counted; null where it does not parse",
                nullable=True,
            ),
            column(
                "example_prints",
                pa.int32(),
                "prints outside functions and classes; null where it does not parse",
                nullable=True,
            ),
            column(
                "score_rank", pa.int32(), "1 + samples of its problem that score higher; null if not run", nullable=True
            ),
            column("text_tokens", pa.string(), "the text, one character per word, sign or line start, for distances"),
            column(
                "ast_tokens",
                pa.string(),
                "the syntax tree without docstrings, one character per node in preorder and one per closing; "
                "null where it does not parse",
                nullable=True,
            ),
            column(
                "ast_hash",
                pa.string(),
                "hash of the syntax tree without docstrings: equal means the same program up to comments and layout; "
                "null where it does not parse",
                nullable=True,
            ),
            _measure("contaminated_by", pa.string(), "the benchmark task whose solution it repeats; null if none"),
            _measure("contaminated_passage", pa.string(), "the passage of the code that matches; null likewise"),
        ]
    ),
    key="completion_id",
    row="the measures of one completion",
)

PAIR_FEATURES = Table(
    "pair_features",
    pa.schema(
        [
            column("pair_id", pa.string(), "the pair measured"),
            _PROBLEM_ID,
            _SPLIT,
            _measure(
                "logp_distance",
                pa.float64(),
                "absolute difference of the summed log-probabilities in nats; null where a side has none",
            ),
            _measure(
                "logp_margin", pa.float64(), "summed log-probability of chosen minus rejected in nats; null likewise"
            ),
            _measure(
                "logp_distance_per_token",
                pa.float64(),
                "absolute difference of the mean log-probabilities per token in nats; null likewise",
            ),
            _measure(
                "logp_margin_per_token", pa.float64(), "the same with its sign, chosen minus rejected; null likewise"
            ),
            column("edit_distance", pa.int32(), "Levenshtein distance of the two texts in characters"),
            column("edit_normalized", pa.float64(), "edit_distance over the longer text's length, 0 to 1"),
            column("indel_distance", pa.int32(), "insertions and deletions between the two texts in characters"),
            column("indel_normalized", pa.float64(), "indel_distance over both lengths together, 0 to 1"),
            column("token_edit_distance", pa.int32(), "Levenshtein distance in words, signs and line starts"),
            column("token_edit_normalized", pa.float64(), "token_edit_distance over the longer side's tokens, 0 to 1"),
            _measure(
                "model_token_edit_distance",
                pa.int32(),
                "Levenshtein distance in the model's own tokens; null where they are unknown",
            ),
            _measure(
                "ast_distance",
                pa.int32(),
                "Levenshtein distance of the ast_tokens, close to tree edit distance; null where a side does not parse",
            ),
            _measure(
                "ast_normalized", pa.float64(), "ast_distance over the longer side's ast_tokens, 0 to 1; null likewise"
            ),
            _measure(
                "tree_edit_distance",
                pa.int32(),
                "exact tree edit distance of the syntax trees; null outside the sample it is taken on",
            ),
            _measure(
                "same_ast",
                pa.bool_(),
                "whether the sides differ only in comments, docstrings and layout; null likewise",
            ),
            column("prefix_chars", pa.int32(), "characters the two texts share from their start"),
            column("prefix_share", pa.float64(), "prefix_chars over the longer text's length, 0 to 1"),
            _measure(
                "first_divergence",
                pa.int32(),
                "0-based index of the first model token in which the sides differ; null where tokens are unknown",
            ),
            _measure("tokens_gap", pa.int32(), "model tokens of chosen minus rejected; null where unknown"),
            column("chars_gap", pa.int32(), "characters of chosen minus rejected"),
            column("lines_gap", pa.int32(), "lines of chosen minus rejected"),
            column("length_gap", pa.int32(), "absolute difference of the lengths in characters"),
            column(
                "length_ratio", pa.float64(), "length of the longer text over the shorter, both taken as at least 1"
            ),
            _measure("comment_gap", pa.float64(), "comment_share of chosen minus rejected; null where a side has none"),
            _measure(
                "docstring_gap", pa.float64(), "docstring_share of chosen minus rejected; null where a side has none"
            ),
            _measure(
                "example_calls_gap", pa.int32(), "example_calls of chosen minus rejected; null where one is unknown"
            ),
            _measure(
                "example_prints_gap", pa.int32(), "example_prints of chosen minus rejected; null where one is unknown"
            ),
            column("test_gap", pa.float64(), "chosen_score minus rejected_score"),
            column(
                "tests_differ",
                pa.list_(pa.field("element", pa.int32(), nullable=False)),
                "0-based numbers of the tests that one side passes and the other does not",
            ),
            column("chosen_status", pa.string(), "status of the chosen side's run"),
            column("rejected_status", pa.string(), "status of the rejected side's run"),
            _measure(
                "chosen_error", pa.string(), "exception class of the chosen side's first failing test; null if none"
            ),
            _measure(
                "rejected_error", pa.string(), "exception class of the rejected side's first failing test; null if none"
            ),
            _measure(
                "steps_ratio",
                pa.float64(),
                "steps of chosen over rejected, below 1 = faster; null where rejected ran none",
            ),
            _measure("chosen_rank", pa.int32(), "score_rank of chosen among its problem's samples; null if not run"),
            _measure(
                "rejected_rank", pa.int32(), "score_rank of rejected among its problem's samples; null if not run"
            ),
            _measure(
                "pass_rate",
                pa.float64(),
                "share of the problem's judged samples that pass every test; null if none ran",
            ),
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
            column(
                "metric", pa.float64(), "the value of the curriculum's metric; null where not measured", nullable=True
            ),
            column(
                "pruned_by",
                pa.string(),
                "the first pruning rule that named the pair, or unmeasured where it lacks the metric; null if kept",
                nullable=True,
            ),
        ]
    ),
    key="pair_id",
    row="one pair's place in training, or the rule that pruned it",
)

# Not part of a version: an evaluation is a folder of its own, with its problems, completions and executions in it.
EVALUATIONS = Table(
    "evaluations",
    pa.schema(
        [
            column("evaluation_id", pa.string(), "hash of model, adapter, benchmark, sampling and sandbox policy"),
            column("benchmark", pa.string(), "what was asked, as in humaneval or mbpp:test"),
            _PROBLEM_ID,
            column("task_id", pa.string(), "the problem's name at its source, as in HumanEval/0"),
            _SPLIT,
            column("model", pa.string(), "the model that was sampled"),
            column("model_revision", pa.string(), "its commit or content hash; null if unknown", nullable=True),
            column("adapter", pa.string(), "folder of the adapter it wore; null for none", nullable=True),
            column("adapter_revision", pa.string(), "content hash of the adapter; null for none", nullable=True),
            column("num_samples", pa.int32(), "completions sampled for the problem, whatever became of them"),
            column("num_solved", pa.int32(), "those that pass every test"),
            column("num_no_evidence", pa.int32(), "those refused or not fairly run; they count as not solved"),
            column("mean_score", pa.float64(), "mean share of tests passed, 0 to 1; no evidence counts as 0"),
            column("mean_tokens", pa.float64(), "mean length in model tokens; null if unknown", nullable=True),
            column("num_cut", pa.int32(), "completions cut off at the limit on tokens"),
            column("temperature", pa.float32(), "sampling temperature; 0 is greedy; null if unknown", nullable=True),
            column("top_p", pa.float32(), "nucleus sampling mass; null if unknown", nullable=True),
            column("max_tokens", pa.int32(), "limit on sampled tokens; null if unknown", nullable=True),
            column("seed", pa.int64(), "seed of the sampling; null if unknown", nullable=True),
        ]
    ),
    key="problem_id",
    row="how one problem of a benchmark went for one model",
)

TOKEN_REWARDS = Table(
    "token_rewards",
    pa.schema(
        [
            column("policy", pa.string(), "the policy, by the name it was given"),
            column("completion_id", pa.string(), "the completion scored"),
            column("tokens", pa.list_(pa.string()), "its tokens as text, one by one"),
            column("logps", pa.list_(pa.float32()), "log-probability in nats of each token under the policy"),
            column("ref_logps", pa.list_(pa.float32()), "the same under the reference"),
            column(
                "rewards",
                pa.list_(pa.float32()),
                "beta times their difference: what the policy came to like of the completion, token by token",
            ),
        ]
    ),
    key="completion_id",
    row="one completion of a version token by token under one policy",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *(PROBLEMS, COMPLETIONS, EXECUTIONS, PAIRS),
        *(PROBLEM_FEATURES, HOPELESS_PROBLEMS, COMPLETION_FEATURES, PAIR_FEATURES, CURRICULUM),
    )
}

# Every table the store writes: those of a version, which are TABLES, and those that lie elsewhere.
DECLARED: dict[str, Table] = TABLES | {table.name: table for table in (EVALUATIONS, TOKEN_REWARDS)}
