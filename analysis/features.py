"""The measures of completions and of pairs: what a completion is measured for once, and what tells two sides apart.

Characters are Unicode characters, not bytes. DuckDB joins and takes the measures that are arithmetic; rapidfuzz takes
the distances (DuckDB's own levenshtein is 66 to 78 times slower and counts bytes). Shards are measured side by side,
in processes: rapidfuzz's own threads gained nothing here (measured: `workers=2` took as long as 1).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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

# Rows taken from DuckDB at a time: completions with their texts, pairs without any.
BATCH, PAIRS_BATCH = 16_384, 65_536

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


def measure_completions(
    dataset: Path, config: Measures, *, executor: Executor | None = None, on_progress: Progress = silent
) -> int:
    """completions + executions -> completion_features, in the shards that lack it. Returns the completions measured."""
    over_shards(_measure_completions, dataset, "completions", "completion_features", config, on_progress, executor)
    return engine.count(dataset, "completion_features")


def measure_pairs(
    dataset: Path, config: Measures, *, executor: Executor | None = None, on_progress: Progress = silent
) -> int:
    """pairs + completions + executions + completion_features -> pair_features. Returns the pairs measured.

    Problems and completions that have no measures yet get them first.
    """
    measure_problems(dataset, config)
    measure_completions(dataset, config, executor=executor)
    over_shards(_measure_pairs, dataset, "pairs", "pair_features", config, on_progress, executor)
    return engine.count(dataset, "pair_features")


def _measure_completions(dataset: Path, shard: Shard, config: Measures) -> None:
    with engine.connect(dataset, shard=shard, settings=SETTINGS) as con, warnings.catch_warnings():
        # ast.parse warns about odd escapes and comparisons of the models' programs, which nobody here can change.
        warnings.simplefilter("ignore")
        rows = con.sql(engine.load(SQL / "measures" / "completions.sql").text).to_arrow_reader(BATCH)
        measured = pa.concat_tables([_completion_batch(batch, config) for batch in rows] or [_no_completions()])
    store.write(dataset, "completion_features", _by_problem(measured.unify_dictionaries(), "completion_id"), shard)


def _no_completions() -> pa.Table:
    return COMPLETION_FEATURES.schema.empty_table()


def _completion_batch(batch: pa.RecordBatch, config: Measures) -> pa.Table:
    """Rows of completion_features from rows of sql/measures/completions.sql; equal programs are measured once."""
    columns: dict[str, Any] = {name: batch.column(name) for name in batch.schema.names}
    codes, texts = (columns.pop(name).dictionary_encode(null_encoding="encode") for name in ("code", "text"))
    columns |= _spread(codes, ["parses", *PROGRAM_MEASURES], measure_program)
    matches = ["contaminated_by", "contaminated_passage"]
    columns |= _spread(codes, matches, _program_overlap if config.decontaminate else _no_overlap)
    columns |= _spread(texts, ["text_tokens"], _tokens_of)
    return pa.table({name: columns[name] for name in COMPLETION_FEATURES.schema.names})


def _spread(
    encoded: pa.DictionaryArray, names: Sequence[str], measure: Callable[[str | None], Mapping[str, Any]]
) -> dict[str, pa.Array]:
    """Columns `names` of what `measure` says of each distinct string, a value for every row.

    Strings stay encoded, as they are long and repeat: what is sorted and held are their numbers.
    """
    rows = [measure(one) for one in encoded.dictionary.to_pylist()]
    columns = {}
    for name in names:
        values = pa.array([row[name] for row in rows], COMPLETION_FEATURES.schema.field(name).type)
        if pa.types.is_string(values.type):
            numbers = pc.if_else(values.is_valid().take(encoded.indices), encoded.indices, None)
            columns[name] = pa.DictionaryArray.from_arrays(numbers, values.fill_null(""))
        else:
            columns[name] = values.take(encoded.indices)
    return columns


# Samples of one problem repeat each other (a quarter of the real ones do), so equal programs are measured once.
REMEMBERED = 16_384
PROGRAM_MEASURES = ("comment_share", "docstring_share", "example_calls", "example_prints", "ast_tokens", "ast_hash")


@lru_cache(REMEMBERED)
def _tokens_of(text: str) -> dict[str, str]:
    return {"text_tokens": programs.text_tokens(text)}


@lru_cache(REMEMBERED)
def _program_overlap(code: str | None) -> dict[str, str | None]:
    match = overlaps.program_overlap(code, overlaps.shipped()) if code else None
    return {"contaminated_by": match.task, "contaminated_passage": match.passage} if match else _no_overlap(code)


def _no_overlap(code: str | None) -> dict[str, str | None]:
    return {"contaminated_by": None, "contaminated_passage": None}


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
        sides = Sides(con.sql(engine.load(SQL / "measures" / "sides.sql").text).to_arrow_reader(BATCH))
        pairs = con.sql(engine.load(SQL / "measures" / "pairs.sql").text).to_arrow_reader(PAIRS_BATCH)
        batches = [compare(batch, sides) for batch in pairs]
    measured = _by_problem(pa.Table.from_batches(batches, PAIR_FEATURES.schema), "pair_id")
    if config.tree_edit_sample:
        measured = trees.add_exact_distances(dataset, shard, measured, config.tree_edit_sample)
    store.write(dataset, "pair_features", measured, shard)


def _by_problem(rows: pa.Table, key: str) -> pa.Table:
    return rows.sort_by([("problem_id", "ascending"), (key, "ascending")])


class Sides:
    """The strings of one shard's sides, each distinct one a Python object once, however many pairs it is in."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        """From rows of sql/measures/sides.sql."""
        self.texts, self.text_tokens, self.ast_tokens, self.model_tokens = (Strings() for _ in range(4))
        names = [pa.array([], pa.string())]
        for rows in batches:
            names.append(rows["side"])
            self.texts.add(rows["text"])
            self.text_tokens.add(_text_tokens(rows))
            self.ast_tokens.add(rows["ast_tokens"])
            ids = [None if one is None else programs.model_tokens(one) for one in rows["token_ids"].to_pylist()]
            self.model_tokens.add(pa.array(ids, pa.string()))
        self.names = pa.concat_arrays(names)

    def rows(self, names: pa.Array) -> NDArray[np.int64]:
        """The row here of each side; both queries name them alike, so none is unknown."""
        return pc.index_in(names, self.names).to_numpy().astype(np.int64)


def _text_tokens(rows: pa.RecordBatch) -> pa.Array:
    """The column of that name, taken now where a side is part of a completion."""
    known = rows["text_tokens"]
    if not known.null_count:
        return known
    taken = zip(rows["text"].to_pylist(), known.to_pylist(), strict=True)
    return pa.array([_tokens_of(text)["text_tokens"] if one is None else one for text, one in taken], pa.string())


class Strings:
    """A column of strings, of which each distinct one is kept once; a null is the empty string, marked as missing."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.numbers = np.empty(0, np.int64)
        self.missing = np.empty(0, bool)

    def add(self, column: pa.Array) -> None:
        """Append the rows of `column`."""
        encoded = column.fill_null("").dictionary_encode()
        known = self.known
        numbers = np.array([known.setdefault(one, len(known)) for one in encoded.dictionary.to_pylist()], np.int64)
        self.numbers = np.concatenate([self.numbers, numbers[encoded.indices.to_numpy()]])
        self.missing = np.concatenate([self.missing, column.is_null().to_numpy(zero_copy_only=False)])


class Compared:
    """The strings of many pairs side by side: each distinct couple is compared once, and pairs repeat couples."""

    def __init__(self, strings: Strings, left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        """The strings in rows `left` beside those in rows `right`."""
        values, count = list(strings.known), max(1, len(strings.known))
        couples, self.couple = np.unique(strings.numbers[left] * count + strings.numbers[right], return_inverse=True)
        self.left = [values[number] for number in (couples // count).tolist()]
        self.right = [values[number] for number in (couples % count).tolist()]
        sizes = [np.fromiter(map(len, side), np.int32, len(side)) for side in (self.left, self.right)]
        self.longer, self.both = np.maximum(*sizes)[self.couple], (sizes[0] + sizes[1])[self.couple]
        self.missing = strings.missing[left] | strings.missing[right]

    def scores(self, scorer: Any) -> NDArray[np.int32]:
        """A scorer's value for every pair; what it says of missing strings is meaningless."""
        return cpdist(self.left, self.right, scorer=scorer, dtype=np.int32)[self.couple]


def compare(pairs: pa.RecordBatch, sides: Sides) -> pa.RecordBatch:
    """Rows of pair_features from rows of sql/measures/pairs.sql."""
    columns: dict[str, Any] = {name: pairs.column(name) for name in pairs.schema.names}
    left, right = (sides.rows(columns[side]) for side in ("chosen_side", "rejected_side"))
    columns |= _text_distances(Compared(sides.texts, left, right))
    tokens, nodes = (Compared(strings, left, right) for strings in (sides.text_tokens, sides.ast_tokens))
    columns |= _edits("token_edit_distance", "token_edit_normalized", tokens)
    columns |= _edits("ast_distance", "ast_normalized", nodes)
    ids = Compared(sides.model_tokens, left, right)
    columns["model_token_edit_distance"] = _edits("edits", "", ids)["edits"]
    columns["first_divergence"] = pa.array(ids.scores(Prefix.similarity), pa.int32(), mask=ids.missing)
    columns["tree_edit_distance"] = pa.nulls(pairs.num_rows, pa.int32())
    arrays = [columns[field.name].cast(field.type) for field in PAIR_FEATURES.schema]
    return pa.RecordBatch.from_arrays(arrays, schema=PAIR_FEATURES.schema)


def _text_distances(texts: Compared) -> dict[str, pa.Array]:
    scorers = (Levenshtein.distance, Indel.distance, Prefix.similarity)
    edits, indels, shared = (texts.scores(scorer) for scorer in scorers)
    return {
        "edit_distance": pa.array(edits),
        "edit_normalized": _share(edits, texts.longer),
        "indel_distance": pa.array(indels),
        "indel_normalized": _share(indels, texts.both),
        "prefix_chars": pa.array(shared),
        "prefix_share": _share(shared, texts.longer),
    }


def _edits(name: str, normalized: str, strings: Compared) -> dict[str, pa.Array]:
    """Levenshtein distance and its share of the longer side; null where a side is."""
    edits = strings.scores(Levenshtein.distance)
    missing = strings.missing
    return {name: pa.array(edits, mask=missing), normalized: _share(edits, strings.longer, missing)}


def _share(part: NDArray[np.int32], whole: NDArray[np.int32], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """part over whole; 0 over 0 is 0."""
    return pa.array(part / np.maximum(whole, 1), mask=missing)
