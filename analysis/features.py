"""The measures of completions and of pairs: what a completion is measured for once, and what tells two sides apart.

Characters are Unicode characters, not bytes. DuckDB joins and takes the measures that are arithmetic; rapidfuzz takes
the distances (DuckDB's own levenshtein is 66 to 78 times slower and counts bytes). Shards are measured side by side,
in processes: rapidfuzz's own threads gained nothing here (measured: `workers=2` took as long as 1).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rapidfuzz.distance import Indel, Levenshtein, Prefix
from rapidfuzz.process import cpdist

from analysis import engine, overlaps, programs, trees
from analysis.engine import SQL
from analysis.side_by_side import over_shards
from curation import store
from curation.progress import Progress, silent
from curation.schema import COMPLETION_FEATURES, PAIR_FEATURES
from curation.store import Shard

# Rows taken from DuckDB at a time: bounds the memory of their Python objects.
BATCH = 8192

# Half of what a query may have, since two processes measure at once.
SETTINGS = engine.SETTINGS | {"memory_limit": "256MB", "threads": 1}


class Measures(BaseModel):
    """How pairs are measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int = Field(2, ge=1, description="Processes that measure shards side by side; no measure depends on it.")
    decontaminate: bool = Field(
        True, description="Look for passages of HumanEval and MBPP in problems and completions, and record them."
    )
    duplicate_similarity: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Problems whose words are at least this alike are duplicates; 1 finds exact ones only.",
    )
    tree_edit_sample: int = Field(
        0, ge=0, description="Pairs per shard that get the exact tree edit distance, which takes up to a second each."
    )


def measure_problems(dataset: Path, config: Measures, *, on_progress: Progress = silent) -> int:
    """problems -> problem_features. Returns the problems measured. Progress is in shards.

    Duplicates are looked for over all shards, so a half-written table is written anew.
    """
    planned = store.plan(dataset)
    if store.missing(dataset, "problem_features"):
        columns = ["problem_id", "split", "prompt", "entry_point"]
        problems = store.read(dataset, "problems", columns=columns).sort_by("problem_id").to_pylist()
        statements = {row["problem_id"]: row["prompt"] for row in problems}
        twins = overlaps.duplicates(statements, config.duplicate_similarity)
        for done, shard in enumerate(planned):
            on_progress(done, len(planned))
            rows = store.read(dataset, "problems", columns=columns, shard=shard).sort_by("problem_id").to_pylist()
            measured = [_problem_row(row, twins.get(row["problem_id"]), config) for row in rows]
            store.write(dataset, "problem_features", measured, shard)
    on_progress(len(planned), len(planned))
    return engine.count(dataset, "problem_features")


def _problem_row(row: dict[str, Any], twin: overlaps.Twin | None, config: Measures) -> dict[str, Any]:
    match = None
    if config.decontaminate:
        match = overlaps.problem_overlap(row["prompt"], row["entry_point"], overlaps.shipped())
    return {
        "problem_id": row["problem_id"],
        "split": row["split"],
        "duplicate_of": twin.problem_id if twin else None,
        "similarity": twin.similarity if twin else None,
        "contaminated_by": match.task if match else None,
        "contaminated_rule": match.rule if match else None,
        "contaminated_passage": match.passage if match else None,
    }


def measure_completions(dataset: Path, config: Measures, *, on_progress: Progress = silent) -> int:
    """completions + executions -> completion_features, in the shards that lack it. Returns the completions measured."""
    over_shards(_measure_completions, dataset, "completions", "completion_features", config, on_progress)
    return engine.count(dataset, "completion_features")


def measure_pairs(dataset: Path, config: Measures, *, on_progress: Progress = silent) -> int:
    """pairs + completions + executions + completion_features -> pair_features. Returns the pairs measured.

    Problems and completions that have no measures yet get them first.
    """
    measure_problems(dataset, config)
    measure_completions(dataset, config)
    over_shards(_measure_pairs, dataset, "pairs", "pair_features", config, on_progress)
    return engine.count(dataset, "pair_features")


def _measure_completions(dataset: Path, shard: Shard, config: Measures) -> None:
    with engine.connect(dataset, shard=shard, settings=SETTINGS) as con, warnings.catch_warnings():
        # ast.parse warns about odd escapes and comparisons of the models' programs, which nobody here can change.
        warnings.simplefilter("ignore")
        rows = con.sql(engine.load(SQL / "measures" / "completions.sql").text).to_arrow_reader(BATCH)
        measured = pa.Table.from_batches(
            [_completion_batch(batch, config) for batch in rows], COMPLETION_FEATURES.schema
        )
    store.write(dataset, "completion_features", _by_problem(measured, "completion_id"), shard)


def _completion_batch(batch: pa.RecordBatch, config: Measures) -> pa.RecordBatch:
    columns: dict[str, list[Any]] = {name: batch.column(name).to_pylist() for name in batch.schema.names}
    codes = columns.pop("code")
    programs_of = [measure_program(code) for code in codes]
    if programs_of:
        columns |= {name: [row[name] for row in programs_of] for name in programs_of[0]}
    matches = [_program_overlap(code) if code and config.decontaminate else None for code in codes]
    columns["contaminated_by"] = [match.task if match else None for match in matches]
    columns["contaminated_passage"] = [match.passage if match else None for match in matches]
    columns["text_tokens"] = [_text_tokens(text) for text in columns.pop("text")]
    return pa.RecordBatch.from_pydict(columns, schema=COMPLETION_FEATURES.schema)


# Samples of one problem repeat each other (a quarter of the real ones do), so equal programs are measured once.
REMEMBERED = 16_384
_text_tokens = lru_cache(REMEMBERED)(programs.text_tokens)


@lru_cache(REMEMBERED)
def _program_overlap(code: str) -> overlaps.Match | None:
    return overlaps.program_overlap(code, overlaps.shipped())


@lru_cache(REMEMBERED)
def measure_program(code: str | None) -> dict[str, Any]:
    """The columns of completion_features that depend on the code alone."""
    syntax = programs.syntax(code) if code is not None else None
    return {
        "parses": syntax is not None,
        "comment_share": programs.comment_chars(code) / len(code) if code else None,
        "docstring_share": syntax.docstring_chars / len(code) if code and syntax else None,
        "example_calls": syntax.example_calls if syntax else None,
        "example_prints": syntax.example_prints if syntax else None,
        "ast_tokens": syntax.tokens if syntax else None,
        "ast_hash": syntax.digest if syntax else None,
    }


def _measure_pairs(dataset: Path, shard: Shard, config: Measures) -> None:
    with engine.connect(dataset, shard=shard, settings=SETTINGS) as con:
        sides = Sides(engine.run(con, engine.load(SQL / "measures" / "sides.sql")))
        pairs = con.sql(engine.load(SQL / "measures" / "pairs.sql").text).to_arrow_reader(BATCH)
        batches = [compare(batch, sides) for batch in pairs]
    measured = _by_problem(pa.Table.from_batches(batches, PAIR_FEATURES.schema), "pair_id")
    if config.tree_edit_sample:
        measured = trees.add_exact_distances(dataset, shard, measured, config.tree_edit_sample)
    store.write(dataset, "pair_features", measured, shard)


def _by_problem(rows: pa.Table, key: str) -> pa.Table:
    return rows.sort_by([("problem_id", "ascending"), (key, "ascending")])


class Sides:
    """The strings of one shard's sides, each a Python object once, however many pairs it is in."""

    def __init__(self, rows: pa.Table) -> None:
        """From rows of sql/measures/sides.sql."""
        self.row = {name: number for number, name in enumerate(rows["completion_id"].to_pylist())}
        self.texts: list[str] = rows["text"].to_pylist()
        self.text_tokens: list[str] = rows["text_tokens"].to_pylist()
        self.ast_tokens: list[str | None] = rows["ast_tokens"].to_pylist()
        ids = rows["token_ids"]
        self.model_tokens: list[str | None] | None = None
        if ids.null_count < len(ids):
            self.model_tokens = [None if one is None else programs.model_tokens(one) for one in ids.to_pylist()]


def compare(pairs: pa.RecordBatch, sides: Sides) -> pa.RecordBatch:
    """Rows of pair_features from rows of sql/measures/pairs.sql."""
    columns: dict[str, Any] = {name: pairs.column(name) for name in pairs.schema.names}
    left, right = ([sides.row[name] for name in columns[side].to_pylist()] for side in ("chosen_id", "rejected_id"))
    columns |= _text_distances(_pick(sides.texts, left), _pick(sides.texts, right))
    tokens = _pick(sides.text_tokens, left), _pick(sides.text_tokens, right)
    columns |= _edits("token_edit_distance", "token_edit_normalized", *tokens)
    columns |= _edits("ast_distance", "ast_normalized", _pick(sides.ast_tokens, left), _pick(sides.ast_tokens, right))
    unknown = pa.nulls(pairs.num_rows, pa.int32())
    columns |= dict.fromkeys(("model_token_edit_distance", "first_divergence", "tree_edit_distance"), unknown)
    if sides.model_tokens:
        ids = _pick(sides.model_tokens, left), _pick(sides.model_tokens, right)
        columns["model_token_edit_distance"] = _edits("edits", "", *ids)["edits"]
        columns["first_divergence"] = pa.array(_scores(Prefix.similarity, *ids), pa.int32(), mask=_either_none(*ids))
    arrays = [columns[field.name].cast(field.type) for field in PAIR_FEATURES.schema]
    return pa.RecordBatch.from_arrays(arrays, schema=PAIR_FEATURES.schema)


def _pick(strings: Sequence[Any], rows: Sequence[int]) -> list[Any]:
    return [strings[row] for row in rows]


def _text_distances(left: list[str], right: list[str]) -> dict[str, pa.Array]:
    edits, indels, shared = (
        _scores(scorer, left, right) for scorer in (Levenshtein.distance, Indel.distance, Prefix.similarity)
    )
    sizes = _lengths(left), _lengths(right)
    longer = np.maximum(*sizes)
    return {
        "edit_distance": pa.array(edits),
        "edit_normalized": _share(edits, longer),
        "indel_distance": pa.array(indels),
        "indel_normalized": _share(indels, sizes[0] + sizes[1]),
        "prefix_chars": pa.array(shared),
        "prefix_share": _share(shared, longer),
    }


def _edits(name: str, normalized: str, left: list[str | None], right: list[str | None]) -> dict[str, pa.Array]:
    """Levenshtein distance and its share of the longer side; null where a side is."""
    missing = _either_none(left, right)
    edits = _scores(Levenshtein.distance, left, right)
    longer = np.maximum(_lengths(left), _lengths(right))
    return {name: pa.array(edits, mask=missing), normalized: _share(edits, longer, missing)}


def _scores(scorer: Any, left: Sequence[str | None], right: Sequence[str | None]) -> NDArray[np.int32]:
    """A scorer over two lists, pair by pair; what it says of None is meaningless."""
    blank_left, blank_right = ([one or "" for one in side] for side in (left, right))
    return cpdist(blank_left, blank_right, scorer=scorer, dtype=np.int32)


def _either_none(left: Sequence[str | None], right: Sequence[str | None]) -> NDArray[np.bool_]:
    return np.fromiter((a is None or b is None for a, b in zip(left, right, strict=True)), bool, len(left))


def _lengths(strings: Sequence[str | None]) -> NDArray[np.int32]:
    return np.fromiter((len(one or "") for one in strings), np.int32, len(strings))


def _share(part: NDArray[np.int32], whole: NDArray[np.int32], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """part over whole; 0 over 0 is 0."""
    return pa.array(part / np.maximum(whole, 1), mask=missing)
