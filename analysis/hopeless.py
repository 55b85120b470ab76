"""The problems that no sample solved, kept aside in a table of their own: what is special about them?"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from analysis import engine
from analysis.engine import SQL
from curation import store
from curation.progress import Progress, silent


def set_hopeless_aside(dataset: Path, config: BaseModel, *, on_progress: Progress = silent) -> int:
    """problems + executions -> hopeless_problems, shard by shard. Returns how many there are. Nothing is configured.

    A problem whose programs never got a fair run is none: nothing is known of it.
    """
    query = engine.load(SQL / "measures" / "hopeless_problems.sql")
    todo = store.missing(dataset, "hopeless_problems")
    for done, shard in enumerate(todo):
        on_progress(done, len(todo))
        with engine.connect(dataset, shard=shard) as con:
            store.write(dataset, "hopeless_problems", con.sql(query.text).to_arrow_table(), shard)
    on_progress(len(todo), len(todo))
    return engine.count(dataset, "hopeless_problems")
