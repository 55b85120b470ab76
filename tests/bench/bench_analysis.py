"""Measures, curriculum, pruning and SQL over a million pairs of real code, against the same in pandas.

    python tests/bench/bench_analysis.py --pairs 1000000
    python tests/bench/bench_analysis.py --pairs 100000 --folder /tmp/bench ours
    python tests/bench/bench_analysis.py --pairs 10000000 --folder /tmp/bench make
    python tests/bench/bench_analysis.py --pairs 10000000 --folder /tmp/bench ours
    python tests/bench/bench_analysis.py --folder /tmp/bench build curate

pandas is measured in two ways. `pandas_all` is what a competent user writes: a completion measured once and joined to
its pairs, every pair compared. `pandas_distinct` also measures equal programs once. Ours does that and compares equal
couples of a shard once; of these resampled pairs many more are equal than of any real ones, so compare it with both.

The pairs are made by resampling the 16,400 real samples of ../shared/data/samples: problem after problem, 16 samples
of one of the real problems and 16 pairs between those that pass and those that do not, in shards of 62,500 pairs.
Every figure is of a process of its own and those it starts: seconds of wall clock and of processor, and the most
resident memory that they held at once.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
SAMPLES = ROOT / "../shared/data/samples/humaneval_codegen16b_t0.8_n100.jsonl.gz"
PER_PROBLEM = 16
PAIRS_PER_SHARD = 62_500
PERCENTILES = (10, 50, 90)
RULES = ("near_identical_pairs", "only_comments_differ", "length_outliers", "saturated_problems")
AGGREGATE = (
    "SELECT bucket, count(*) AS pairs, avg(edit_distance) AS edits, median(ast_distance) AS trees, avg(pass_rate)"
    " FROM curriculum JOIN pair_features USING (pair_id) WHERE pruned_by IS NULL GROUP BY bucket ORDER BY bucket"
)


# The data ---------------------------------------------------------------------------------------------------------


@cache
def real_problems() -> tuple[pa.Array, list[np.ndarray], list[np.ndarray]]:
    """The samples' texts, and per problem with both kinds the numbers of those that pass and of those that do not."""
    with gzip.open(SAMPLES, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    passing: dict[str, list[int]] = {}
    failing: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        (passing if row["passed"] else failing).setdefault(row["task_id"], []).append(number)
    both = sorted(passing.keys() & failing.keys())
    texts = pa.array([row["completion"] for row in rows])
    return texts, [np.array(passing[name]) for name in both], [np.array(failing[name]) for name in both]


def ids(kind: int, numbers: np.ndarray) -> pa.Array:
    """20 hexadecimal digits from numbers, in an order unlike theirs, as hashes have."""
    mixed = (numbers.astype(np.uint64) + np.uint64(kind << 56)) * np.uint64(0x9E3779B97F4A7C15)
    return pa.array(np.char.mod("%020x", mixed))


def make(folder: Path, pairs: int) -> None:
    """Write a dataset of about `pairs` pairs, ready to be measured."""
    shards = max(1, round(pairs / PAIRS_PER_SHARD))
    with ProcessPoolExecutor(2) as pool:
        todo = [(folder, index, shards, min(pairs, PAIRS_PER_SHARD) // PER_PROBLEM) for index in range(shards)]
        list(pool.map(write_shard, todo))


def write_shard(what: tuple[Path, int, int, int]) -> None:
    """Write one shard of every table."""
    from curation import store

    folder, index, shards, problems = what
    for name, table in make_shard(*real_problems(), index, problems).items():
        store.write(folder, name, table, store.Shard("train", index, shards))


def make_shard(
    texts: pa.Array, passing: list[np.ndarray], failing: list[np.ndarray], index: int, problems: int
) -> dict[str, pa.Table]:
    """The tables of one shard: per problem a random real one, 16 of its samples, 16 pairs."""
    random = np.random.default_rng(index)
    samples, chosen, rejected = [], [], []
    for number in range(problems):
        real = random.integers(len(passing))
        num_passing = int(np.clip(random.binomial(PER_PROBLEM, len(passing[real]) / 100), 1, PER_PROBLEM - 1))
        samples.append(random.choice(passing[real], num_passing))
        samples.append(random.choice(failing[real], PER_PROBLEM - num_passing))
        sides = random.choice(num_passing * (PER_PROBLEM - num_passing), PER_PROBLEM)
        chosen.append(number * PER_PROBLEM + sides % num_passing)
        rejected.append(number * PER_PROBLEM + num_passing + sides // num_passing)
    picked, first = np.concatenate(samples), index * problems
    passed = np.isin(picked, np.concatenate(passing))
    problem_of = np.repeat(np.arange(problems), PER_PROBLEM)
    tables = {"problems": {"problem_id": ids(1, first + np.arange(problems))}}
    columns = {
        "completion_id": ids(2, first * PER_PROBLEM + np.arange(len(picked))),
        "problem_id": tables["problems"]["problem_id"].take(pa.array(problem_of)),
        "text": texts.take(pa.array(picked)),
        "sum_logp": pa.array(-random.gamma(20.0, 2.0, len(picked))),
        "num_tokens": pa.array(random.integers(50, 200, len(picked)), pa.int32()),
        "passed": pa.array(passed),
    }
    tables["completions"] = columns | {"code": columns["text"]}
    tables["executions"] = columns | {
        "status": pa.array(np.where(passed, "passed", "wrong")),
        "score": pa.array(passed.astype(float)),
        "test_status": pa.array([["passed"] if one else ["wrong"] for one in passed]),
        "num_passed": pa.array(passed.astype(np.int32)),
        "num_tests": pa.array(np.ones(len(picked), np.int32)),
        "steps": pa.array(random.integers(10, 10_000, len(picked))),
    }
    left, right = (pa.array(np.concatenate(side)) for side in (chosen, rejected))
    tables["pairs"] = {
        "pair_id": ids(3, first * PER_PROBLEM + np.arange(len(left))),
        "problem_id": columns["problem_id"].take(left),
        "chosen_score": pa.array(np.ones(len(left))),
        "rejected_score": pa.array(np.zeros(len(left))),
    }
    for side, rows in (("chosen", left), ("rejected", right)):
        tables["pairs"] |= {side: columns["text"].take(rows), f"{side}_id": columns["completion_id"].take(rows)}
    return {name: whole_table(name, given) for name, given in tables.items()}


def whole_table(name: str, given: dict[str, pa.Array]) -> pa.Table:
    """A table of the declared schema; columns not given are null, or the emptiest value their type has."""
    from curation.schema import TABLES

    schema = TABLES[name].schema
    rows = len(next(iter(given.values())))
    filled = []
    for field in schema:
        if field.name in given:
            filled.append(given[field.name].cast(field.type))
        elif field.nullable:
            filled.append(pa.nulls(rows, field.type))
        else:
            empty = "train" if pa.types.is_string(field.type) else [] if pa.types.is_list(field.type) else 0
            filled.append(pa.array([empty], field.type).take(pa.array(np.zeros(rows, np.int32))))
    return pa.Table.from_arrays(filled, schema=schema)


# The contestants, each run in a process of its own ------------------------------------------------------------------


def config():
    from analysis.curriculum import Curriculum
    from analysis.rules import Rule

    return Curriculum(percentiles=PERCENTILES, prune=tuple(Rule(rule=rule) for rule in RULES))


def ours_measure(folder: Path) -> None:
    """All measures: of completions once each, then of pairs."""
    from analysis.features import Measures, measure_pairs

    for table in ("completion_features", "pair_features"):
        shutil.rmtree(folder / table, ignore_errors=True)
    # pandas below looks for no benchmark passages, so neither does this.
    measure_pairs(folder, Measures(decontaminate=False))


def ours_curriculum(folder: Path) -> None:
    """Rules, buckets, positions, and the write of the curriculum: all that a changed rule makes anew."""
    from analysis.curriculum import build_curriculum

    shutil.rmtree(folder / "curriculum", ignore_errors=True)
    build_curriculum(folder, config())


def ours(folder: Path) -> None:
    """Measures, rules, buckets and the write of them all."""
    ours_measure(folder)
    ours_curriculum(folder)


def ours_query(folder: Path) -> None:
    """A typical aggregate, timed inside the process after imports."""
    from analysis import engine

    engine.query(folder, "SELECT 1")
    start = time.perf_counter()
    rows = engine.query(folder, AGGREGATE)
    print(f"query of {rows.num_rows} rows: {time.perf_counter() - start:.3f} s after start-up", file=sys.stderr)


def pandas_all(folder: Path, distinct: bool = False) -> None:
    """The same columns, buckets and rules in pandas: vectorized arithmetic, rapidfuzz in list comprehensions.

    As our tables have it, a completion is measured once and joined to its pairs. With `distinct`, equal programs are
    measured once as well.
    """
    import pandas as pd
    from rapidfuzz.distance import Indel, Levenshtein, Prefix

    from analysis import features, programs
    from curation import store

    names = {
        "completions": ["completion_id", "problem_id", "text", "code", "sum_logp", "num_tokens"],
        "executions": ["completion_id", "problem_id", "status", "score", "test_status", "error_type", "steps"],
        "pairs": None,
    }
    frames = {name: store.read(folder, name, columns=columns).to_pandas() for name, columns in names.items()}
    runs, pairs, sides = frames["executions"], frames["pairs"], frames["completions"]
    runs["score_rank"] = runs.groupby("problem_id")["score"].rank(method="min", ascending=False)
    codes = sides["code"].drop_duplicates() if distinct else sides["code"]
    measures = pd.DataFrame([features.measure_program.__wrapped__(code) for code in codes], index=codes.index)
    texts = sides["text"].drop_duplicates() if distinct else sides["text"]
    tokens = pd.Series([programs.text_tokens(text) for text in texts], index=texts.index)
    if distinct:
        measures = measures.set_axis(codes).loc[sides["code"]].set_axis(sides.index)
        tokens = tokens.set_axis(texts).loc[sides["text"]].set_axis(sides.index)
    sides = pd.concat([sides.drop(columns=["code"]), measures], axis=1).assign(tokens=tokens)
    sides["num_chars"] = sides["text"].str.len()
    sides["num_lines"] = sides["text"].str.count("\n") + ~sides["text"].str.endswith("\n")
    sides = sides.drop(columns=["text", "problem_id"]).merge(runs.drop(columns=["problem_id"]), on="completion_id")
    for side in ("chosen", "rejected"):
        renamed = sides.add_prefix(f"{side}.").rename(columns={f"{side}.completion_id": f"{side}_id"})
        pairs = pairs.merge(renamed, on=f"{side}_id")
    rates = runs.assign(pass_rate=runs["status"].eq("passed")).groupby("problem_id")["pass_rate"].mean()
    pairs = pairs.merge(rates.reset_index(), on="problem_id")
    chosen, rejected = pairs["chosen"].tolist(), pairs["rejected"].tolist()
    both = list(zip(chosen, rejected, strict=True))
    longer = np.maximum(pairs["chosen.num_chars"], pairs["rejected.num_chars"]).clip(lower=1)
    shorter = np.minimum(pairs["chosen.num_chars"], pairs["rejected.num_chars"]).clip(lower=1)
    out = pd.DataFrame(index=pairs.index)
    out["edit_distance"] = [Levenshtein.distance(a, b) for a, b in both]
    out["edit_normalized"] = out["edit_distance"] / longer
    out["indel_distance"] = [Indel.distance(a, b) for a, b in both]
    out["indel_normalized"] = out["indel_distance"] / (longer + shorter)
    out["prefix_chars"] = [Prefix.similarity(a, b) for a, b in both]
    out["prefix_share"] = out["prefix_chars"] / longer
    for name, column in (("token_edit", "tokens"), ("ast", "ast_tokens")):
        left, right = pairs[f"chosen.{column}"], pairs[f"rejected.{column}"]
        out[f"{name}_distance"] = [
            Levenshtein.distance(a, b) if isinstance(a, str) and isinstance(b, str) else np.nan
            for a, b in zip(left.tolist(), right.tolist(), strict=True)
        ]
        out[f"{name}_normalized"] = out[f"{name}_distance"] / np.maximum(left.str.len(), right.str.len())
    out["same_ast"] = pairs["chosen.ast_hash"] == pairs["rejected.ast_hash"]
    out["logp_margin"] = pairs["chosen.sum_logp"] - pairs["rejected.sum_logp"]
    out["logp_distance"] = out["logp_margin"].abs()
    means = [pairs[f"{side}.sum_logp"] / pairs[f"{side}.num_tokens"] for side in ("chosen", "rejected")]
    out["logp_margin_per_token"] = means[0] - means[1]
    out["logp_distance_per_token"] = out["logp_margin_per_token"].abs()
    gaps = (
        "num_tokens",
        "num_chars",
        "num_lines",
        "comment_share",
        "docstring_share",
        "example_calls",
        "example_prints",
    )
    for column in gaps:
        out[f"{column}_gap"] = pairs[f"chosen.{column}"] - pairs[f"rejected.{column}"]
    out["length_gap"], out["length_ratio"] = out["num_chars_gap"].abs(), longer / shorter
    out["test_gap"] = pairs["chosen_score"] - pairs["rejected_score"]
    verdicts = zip(pairs["chosen.test_status"].tolist(), pairs["rejected.test_status"].tolist(), strict=True)
    out["tests_differ"] = [
        [number for number, (x, y) in enumerate(zip(a, b, strict=False)) if (x == "passed") != (y == "passed")]
        for a, b in verdicts
    ]
    out["steps_ratio"] = pairs["chosen.steps"] / pairs["rejected.steps"]
    for side in ("chosen", "rejected"):
        for column in ("status", "error_type", "score_rank"):
            out[f"{side}_{column}"] = pairs[f"{side}.{column}"]
    out["pass_rate"] = pairs["pass_rate"]
    pruned = np.select(
        [
            out["edit_normalized"] <= 0.01,
            out["same_ast"],
            (out["length_ratio"] > 5) & (out["length_gap"] >= 200),
            out["pass_rate"] > 0.95,
        ],
        list(RULES),
        default="",
    )
    kept = out.loc[pruned == "", "logp_distance"]
    cuts = kept.quantile([one / 100 for one in PERCENTILES]).to_numpy()
    bucket = np.searchsorted(cuts, out["logp_distance"])
    order = np.lexsort([pairs["pair_id"], out["logp_distance"], bucket])
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    written = pd.concat([pairs[[*frames["pairs"].columns]], out], axis=1)
    written = written.assign(pruned_by=pruned, bucket=bucket, position=position)
    written.to_parquet(folder / "pandas.parquet", compression="zstd")


def pandas_distinct(folder: Path) -> None:
    """The same, equal programs measured once."""
    pandas_all(folder, distinct=True)


def build(folder: Path) -> None:
    """A version of the 16,400 real samples, from reading them to the seal: every program is run in the sandbox."""
    from flows import config
    from flows.build import build as build_version

    shutil.rmtree(folder / "root", ignore_errors=True)
    settings = [f"generate.path={SAMPLES}", "execute.mode=fast", "pairs.strategy=all_pairs"]
    build_version(config.load("replay-codegen16b", settings), folder / "root")


def curate(folder: Path) -> None:
    """The same version with one rule changed, from the command's start to the seal."""
    from flows.curating import curate as curate_version

    shutil.rmtree(folder / "root" / "replay-codegen16b" / "2", ignore_errors=True)
    rule = "curriculum.prune=[{rule: near_identical_pairs, params: {max_edit_share: 0.05}}]"
    curate_version(folder / "root", "replay-codegen16b@1", None, [rule])


CONTESTANTS = {
    one.__name__: one
    for one in (ours, ours_measure, ours_curriculum, ours_query, pandas_all, pandas_distinct, build, curate)
}


# The measuring --------------------------------------------------------------------------------------------------------


def measured(name: str, folder: Path) -> dict[str, float]:
    """Seconds of one contestant in a process of its own, and the most memory that it and its children held at once."""
    start, peak = time.perf_counter(), 0
    command = [sys.executable, __file__, "--child", name, "--folder", str(folder)]
    # Without compiled modules beside the sources, every process would spend seconds of its imports on compiling.
    cache = os.environ | {"PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "pairwright-bench-modules")}
    cache.pop("PYTHONDONTWRITEBYTECODE", None)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=cache) as process:
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.1)
        assert process.stdout is not None
        cpu = float(process.stdout.read())
    wall = time.perf_counter() - start
    return {"wall_s": round(wall, 2), "cpu_s": cpu, "peak_mib": peak // 1024}


def resident(pid: int) -> int:
    """KiB of memory of a process and all below it, a page that several share counted once."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    own = [int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")]
    return sum(own) + sum(resident(int(child)) for child in children)


def child(name: str, folder: Path) -> None:
    CONTESTANTS[name](folder)
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(round(sum(usage.ru_utime + usage.ru_stime for usage in usages), 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(CONTESTANTS))
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keep the data here and use it again")
    parser.add_argument("--child")
    given = parser.parse_args()
    if given.child:
        child(given.child, given.folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.folder or Path(scratch)) / f"pairs-{given.pairs}"
        if not folder.exists() and not (given.names and {*given.names} <= {"build", "curate"}):
            make(folder, given.pairs)
        if given.names == ["make"]:
            return
        results = {}
        for name in given.names or [
            "build",
            "curate",
            "ours",
            "ours_curriculum",
            "ours_query",
            "pandas_all",
            "pandas_distinct",
        ]:
            results[name] = measured(name, folder)
            print(f"{given.pairs:>10,} pairs  {name:<18} {results[name]}", flush=True)
        for name in results.keys() & {"pandas_all", "pandas_distinct"}:
            for unit in ("wall_s", "cpu_s"):
                if "ours" in results:
                    print(f"{name} / ours, {unit}: {results[name][unit] / results['ours'][unit]:.1f}")
        for part, whole in (("ours_curriculum", "ours"), ("curate", "build")):
            if {part, whole} <= results.keys():
                print(f"{part} / {whole}, wall_s: {results[part]['wall_s'] / results[whole]['wall_s']:.3f}")


if __name__ == "__main__":
    main()
