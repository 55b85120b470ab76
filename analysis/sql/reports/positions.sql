-- One row per stretch of the training order within a bucket: the range of the metric there.
-- reads: curriculum
-- params: $stretches = 160
WITH kept AS (
    SELECT position, bucket, metric, position * $stretches // count(*) OVER () AS stretch
    FROM curriculum
    WHERE pruned_by IS NULL
)

SELECT
    bucket,
    min(position) AS first,
    max(position) + 1 AS last,
    min(metric) AS low,
    median(metric) AS median,
    max(metric) AS high
FROM kept
GROUP BY bucket, stretch
ORDER BY first
