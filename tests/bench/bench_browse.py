"""How long `pairwright browse` takes to answer over a million pairs: filters, pages, and one pair with all around it.

    python tests/bench/bench_analysis.py --pairs 1000000 --folder /tmp/bench make ours
    python tests/bench/bench_browse.py --dataset /tmp/bench/pairs-1000000

Every question is asked once to warm up and then some times over HTTP, as the page asks. Printed are the median and the
slowest, and the median of the processor's milliseconds over all threads, which says more on a busy machine.

Without --dataset a dataset of --pairs pairs is made first.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from analysis.report_pairs import Filter, open_pairs  # noqa: E402
from flows.browse import HOST, Browsing, _handler  # noqa: E402

QUESTIONS: dict[str, dict[str, object]] = {
    "first page": {},
    "a bucket": {"bucket": 1},
    "a bucket, sorted by a measure": {"bucket": 1, "sort": "-edit_distance"},
    "a rule": {"fate": "near_identical_pairs"},
    "a strategy": {"strategy": "best_worst"},
    "a problem by its id": {"problem": "0000"},
    "a range of a measure": {"measure": "ast_distance", "low": 10, "high": 30, "fate": "kept"},
    "a condition in SQL": {"where": "edit_distance < 20 AND chosen_status = 'passed'", "sort": "metric"},
    "the last page": {"offset": 0},
}


def measure(dataset: Path, times: int) -> None:
    """Print a row per question."""
    start = time.perf_counter()
    with open_pairs(dataset) as pairs:
        facts = {"facets": pairs.facets(), "measures": pairs.measured()}
        total = pairs.page(Filter(), limit=0).total
        print(f"{total:,} pairs, opened in {time.perf_counter() - start:.1f} s\n")
        QUESTIONS["the last page"]["offset"] = max(0, total - 100)
        browsing = Browsing("bench@1", pairs, Path("none"), {}, facts)
        server = ThreadingHTTPServer((HOST, 0), _handler(browsing))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://{HOST}:{server.server_port}/{browsing.token}/api"
        print(f"{'question':32} {'median ms':>10} {'slowest ms':>11} {'cpu ms':>8}")
        for title, query in QUESTIONS.items():
            row(title, f"{base}/page?{urllib.parse.urlencode(query)}", times)
        [one] = pairs.page(Filter(), limit=1, offset=total // 2).rows
        row("one pair", f"{base}/pair?id={one['pair_id']}", times)
        server.shutdown()


def row(title: str, url: str, times: int) -> None:
    """Ask and print."""
    spent, worked = [], []
    for _ in range(times + 1):
        start, busy = time.perf_counter(), time.process_time()
        with urllib.request.urlopen(url) as answer:
            answer.read()
        spent.append((time.perf_counter() - start) * 1000)
        worked.append((time.process_time() - busy) * 1000)
    print(
        f"{title:32} {statistics.median(spent[1:]):10.0f} {max(spent[1:]):11.0f} {statistics.median(worked[1:]):8.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="a folder of tables; one is made when left out")
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=9)
    given = parser.parse_args()
    if given.dataset is not None:
        return measure(given.dataset, given.times)
    with tempfile.TemporaryDirectory() as folder:
        making = [str(ROOT / "tests/bench/bench_analysis.py"), "--pairs", str(given.pairs), "--folder", folder]
        subprocess.run([sys.executable, *making, "make", "ours"], check=True, stdout=subprocess.DEVNULL)
        measure(next(Path(folder).glob("pairs-*")), given.times)


if __name__ == "__main__":
    main()
