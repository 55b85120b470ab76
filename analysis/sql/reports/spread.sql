-- One row per bucket: the quantiles of what `measure` holds of its pairs.
-- reads: measure
SELECT
    bucket,
    count(value) AS pairs,
    quantile_cont(value, 0.05) AS p05,
    quantile_cont(value, 0.25) AS p25,
    quantile_cont(value, 0.5) AS p50,
    quantile_cont(value, 0.75) AS p75,
    quantile_cont(value, 0.95) AS p95
FROM measure
WHERE kept AND value IS NOT NULL
GROUP BY bucket
ORDER BY bucket
