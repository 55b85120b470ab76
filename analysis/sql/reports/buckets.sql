-- One row per bucket: its pairs, their problems, and the range of the metric.
-- reads: curriculum
SELECT
    bucket,
    count(*) AS pairs,
    count(DISTINCT problem_id) AS problems,
    min(metric) AS low,
    median(metric) AS median,
    max(metric) AS high
FROM curriculum
WHERE pruned_by IS NULL
GROUP BY bucket
ORDER BY bucket
