"""Writes the table as CSV and Parquet: tables.py FOLDER ROWS."""

import sys

import duckdb
from rules import COLUMNS

folder, rows = sys.argv[1], int(sys.argv[2])
values = ", ".join(f"{value} as {name}" for name, _, value in COLUMNS)
source = f"(select {values} from (select i, hash(i) >> 1 as h from range({rows}) t(i)))"
duckdb.sql(f"copy {source} to '{folder}/data.parquet' (format parquet, row_group_size 122880)")
duckdb.sql(f"copy (select * from '{folder}/data.parquet') to '{folder}/data.csv' (format csv, header)")
