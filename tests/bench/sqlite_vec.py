"""sqlite-vec on one set of vectors: seconds to insert them, queries per second, and what they find.

Called by peers.js with one JSON argument; prints one JSON line. Needs Python's sqlite3 with
extensions, and numpy.
"""

import gzip
import json
import sqlite3
import sys
import time

import numpy

K = 10


def load(path):
    """The array of a .npy.gz file as float32."""
    with gzip.open(path) as file:
        return numpy.ascontiguousarray(numpy.load(file), dtype=numpy.float32)


def main(base, queries, metric, count, extension):
    rows, asked = load(base), load(queries)[:count]
    database = sqlite3.connect(":memory:")
    database.enable_load_extension(True)
    database.load_extension(extension)
    database.execute(
        f"create virtual table rows using vec0(v float[{rows.shape[1]}] distance_metric={metric})")
    start = time.perf_counter()
    with database:
        database.executemany(
            "insert into rows(rowid, v) values (?, ?)",
            ((i + 1, row.tobytes()) for i, row in enumerate(rows)))
    built = time.perf_counter() - start
    search = f"select rowid from rows where v match ? and k = {K} order by distance"
    answers, took = [], []
    for query in asked:
        start = time.perf_counter()
        found = database.execute(search, (query.tobytes(),)).fetchall()
        took.append(time.perf_counter() - start)
        answers.append([row - 1 for (row,) in found])
    seconds = sorted(took)[len(took) // 2]
    print(json.dumps({"built": built, "perSecond": 1 / seconds, "answers": answers}))


main(**json.loads(sys.argv[1]))
