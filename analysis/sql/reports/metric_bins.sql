-- One row per bin of the curriculum's metric: from, to, and the kept pairs in it, every bin as wide as the next.
-- The bins span the middle 98 % of the pairs; what lies beyond is counted in the first and the last.
-- reads: curriculum
-- params: $bins = 40
WITH kept AS (
    SELECT metric
    FROM curriculum
    WHERE pruned_by IS NULL
),

span AS (
    SELECT
        quantile_cont(metric, 0.01) AS low,
        greatest(quantile_cont(metric, 0.99) - quantile_cont(metric, 0.01), 1e-9) / $bins AS width
    FROM kept
),

binned AS (
    SELECT least(greatest(floor((metric - low) / width), 0), $bins - 1)::INTEGER AS bin
    FROM kept, span
)

SELECT low + bin * width AS low, low + (bin + 1) * width AS high, count(*) AS pairs
FROM binned, span
GROUP BY ALL
ORDER BY low
