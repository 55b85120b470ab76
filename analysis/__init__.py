"""DuckDB over the tables of a dataset: measures of pairs, curricula, checks, reports, and SQL for users."""
