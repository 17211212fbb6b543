"""Inner join of 16-byte tokens by DuckDB (MIT, PyPI), one thread: the peer of `hedui-bench join`.

usage: join.py LEFT RIGHT FOLDER   files of 16-byte tokens, any order
Writes Parquet beside them (not timed), joins, prints one JSON object: seconds, rows.
"""
import json
import sys
import time

import duckdb
import numpy
import pyarrow
import pyarrow.parquet


def parquet(source, target):
    tokens = numpy.memmap(source, dtype="V16", mode="r")
    schema = pyarrow.schema([("id", pyarrow.uint32()), ("token", pyarrow.binary(16))])
    chunks = max(1, len(tokens) // 2_000_000)
    with pyarrow.parquet.ParquetWriter(target, schema, compression="none", use_dictionary=False) as writer:
        for chunk in range(chunks):
            # Every n-th token: no chunk is sorted into a range of its own.
            part = numpy.ascontiguousarray(tokens[chunk::chunks])
            ids = numpy.arange(chunk, len(tokens), chunks, dtype=numpy.uint32)
            column = pyarrow.FixedSizeBinaryArray.from_buffers(
                pyarrow.binary(16), len(part), [None, pyarrow.py_buffer(part)]
            )
            writer.write_table(pyarrow.table([pyarrow.array(ids), column], schema=schema))


left, right, folder = sys.argv[1:4]
parquet(left, f"{folder}/left.parquet")
parquet(right, f"{folder}/right.parquet")
best = float("inf")
for _ in range(2):
    start = time.perf_counter()
    connection = duckdb.connect()
    connection.execute("set threads=1; set preserve_insertion_order=false")
    connection.execute(
        f"copy (select l.id as a, r.id as b from '{folder}/left.parquet' l join '{folder}/right.parquet' r "
        f"on l.token = r.token) to '{folder}/joined.parquet' (format parquet)"
    )
    best = min(best, time.perf_counter() - start)
rows = duckdb.connect().execute(f"select count(*) from '{folder}/joined.parquet'").fetchone()[0]
print(json.dumps({"seconds": best, "rows": rows}))
