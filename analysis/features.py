"""The measures of completions and of pairs: what a completion is measured for once, and what tells two sides apart.

Characters are Unicode characters, not bytes. DuckDB joins and takes the measures that are arithmetic; rapidfuzz takes
the distances (DuckDB's own levenshtein is 66 to 78 times slower and counts bytes).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rapidfuzz.distance import Indel, Levenshtein, Prefix
from rapidfuzz.process import cpdist

from analysis import engine, programs
from curation import store
from curation.progress import Progress, silent
from curation.schema import COMPLETION_FEATURES, PAIR_FEATURES
from curation.store import Shard

# An array or chunked array: the stubs of pyarrow have no type that its compute functions take for both.
Column = Any

# Rows compared at a time: bounds the memory that their texts take as Python strings.
BATCH = 8192


class Measures(BaseModel):
    """How pairs are measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int = Field(2, ge=1, description="threads that compute distances; the results do not depend on it")


def measure_completions(dataset: Path, config: Measures, *, on_progress: Progress = silent) -> int:
    """completions + executions -> completion_features, in the shards that lack it. Returns the completions measured."""
    planned = store.plan(dataset)
    todo = set(store.missing(dataset, "completion_features"))
    for done, shard in enumerate(planned):
        on_progress(done, len(planned))
        if shard in todo:
            _measure_completions(dataset, shard)
    on_progress(len(planned), len(planned))
    return _rows(dataset, "completion_features")


def measure_pairs(dataset: Path, config: Measures, *, on_progress: Progress = silent) -> int:
    """pairs + completions + executions + completion_features -> pair_features. Returns the pairs measured.

    Completions that have no measures yet get them first.
    """
    measure_completions(dataset, config)
    planned = store.plan(dataset)
    todo = set(store.missing(dataset, "pair_features"))
    for done, shard in enumerate(planned):
        on_progress(done, len(planned))
        if shard in todo:
            _measure_pairs(dataset, shard, config)
    on_progress(len(planned), len(planned))
    return _rows(dataset, "pair_features")


def _rows(dataset: Path, table: str) -> int:
    with engine.connect(dataset) as con:
        return int(con.sql(f"SELECT count(*) FROM {table}").fetchall()[0][0])


def _measure_completions(dataset: Path, shard: Shard) -> None:
    with engine.connect(dataset, shard=shard) as con:
        rows = engine.run(con, engine.load(engine.SQL / "measures" / "completions.sql"))
    measured = pa.Table.from_batches(list(_completion_batches(rows)), COMPLETION_FEATURES.schema)
    store.write(dataset, "completion_features", measured, shard)


def _completion_batches(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    with warnings.catch_warnings():
        # ast.parse warns about odd escapes and comparisons of the models' programs, which nobody here can change.
        warnings.simplefilter("ignore")
        for batch in rows.to_batches(max_chunksize=BATCH):
            columns: dict[str, list[Any]] = {name: batch.column(name).to_pylist() for name in batch.schema.names}
            measured = [measure_program(code) for code in columns.pop("code")]
            columns |= {name: [row[name] for row in measured] for name in measured[0]}
            columns["text_tokens"] = [programs.text_tokens(text) for text in columns.pop("text")]
            yield pa.RecordBatch.from_pydict(columns, schema=COMPLETION_FEATURES.schema)


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
    with engine.connect(dataset, shard=shard) as con:
        sides = con.sql(engine.load(engine.SQL / "measures" / "pairs.sql").text).to_arrow_reader(BATCH)
        batches = [compare(batch, config.workers) for batch in sides]
    measured = pa.Table.from_batches(batches, PAIR_FEATURES.schema)
    measured = measured.sort_by([("problem_id", "ascending"), ("pair_id", "ascending")])
    store.write(dataset, "pair_features", measured, shard)


def compare(sides: pa.RecordBatch, workers: int = 1) -> pa.RecordBatch:
    """Rows of pair_features from rows of sql/measures/pairs.sql."""
    columns: dict[str, Column] = {name: sides.column(name) for name in sides.schema.names}
    taken = {name: columns[name] for name in PAIR_FEATURES.schema.names if name in columns}
    taken |= _text_distances(columns["chosen"], columns["rejected"], workers)
    tokens = _distance(Levenshtein.distance, columns["chosen_tokens"], columns["rejected_tokens"], workers)
    taken["token_edit_distance"] = tokens
    taken["token_edit_normalized"] = _share(tokens, _longer(columns["chosen_tokens"], columns["rejected_tokens"]))
    trees = _distance(Levenshtein.distance, columns["chosen_ast"], columns["rejected_ast"], workers)
    taken["ast_distance"] = trees
    taken["ast_normalized"] = _share(trees, _longer(columns["chosen_ast"], columns["rejected_ast"]))
    taken |= _model_token_distances(columns["chosen_ids"], columns["rejected_ids"], workers)
    taken["tree_edit_distance"] = pa.nulls(sides.num_rows, pa.int32())
    arrays = [taken[field.name].cast(field.type) for field in PAIR_FEATURES.schema]
    return pa.RecordBatch.from_arrays(arrays, schema=PAIR_FEATURES.schema)


def _text_distances(chosen: Column, rejected: Column, workers: int) -> dict[str, Column]:
    left, right = chosen.to_pylist(), rejected.to_pylist()
    edits = _array(_cpdist(Levenshtein.distance, left, right, workers))
    indels = _array(_cpdist(Indel.distance, left, right, workers))
    shared = _array(_cpdist(Prefix.similarity, left, right, workers))
    longer = _longer(chosen, rejected)
    both = pc.add(pc.utf8_length(chosen), pc.utf8_length(rejected))
    return {
        "edit_distance": edits,
        "edit_normalized": _share(edits, longer),
        "indel_distance": indels,
        "indel_normalized": _share(indels, both),
        "prefix_chars": shared,
        "prefix_share": _share(shared, longer),
    }


def _model_token_distances(chosen: Column, rejected: Column, workers: int) -> dict[str, Column]:
    """Distance and first difference of the sampled token ids; null where a side's are unknown."""
    if chosen.null_count == len(chosen) or rejected.null_count == len(rejected):
        unknown = pa.nulls(len(chosen), pa.int32())
        return {"model_token_edit_distance": unknown, "first_divergence": unknown}
    left, right = (
        pa.array([None if ids is None else programs.model_tokens(ids) for ids in side.to_pylist()], pa.string())
        for side in (chosen, rejected)
    )
    same = _distance(Prefix.similarity, left, right, workers)
    return {
        "model_token_edit_distance": _distance(Levenshtein.distance, left, right, workers),
        "first_divergence": same,
    }


def _distance(scorer: Any, left: Column, right: Column, workers: int) -> Column:
    """A scorer over two string arrays; null where either is."""
    known = pc.and_(pc.is_valid(left), pc.is_valid(right))
    values = _cpdist(scorer, pc.fill_null(left, "").to_pylist(), pc.fill_null(right, "").to_pylist(), workers)
    return pc.if_else(known, _array(values), pa.scalar(None, pa.int32()))


def _cpdist(scorer: Any, left: Sequence[str], right: Sequence[str], workers: int) -> NDArray[np.int32]:
    return cpdist(left, right, scorer=scorer, dtype=np.int32, workers=workers)


def _array(values: NDArray[np.int32]) -> Column:
    return pa.array(values, pa.int32())


def _longer(left: Column, right: Column) -> Column:
    return pc.max_element_wise(pc.utf8_length(left), pc.utf8_length(right))


def _share(part: Column, whole: Column) -> Column:
    """part over whole as float; 0 over 0 is 0."""
    return pc.divide(pc.cast(part, pa.float64()), pc.cast(pc.max_element_wise(whole, 1), pa.float64()))
