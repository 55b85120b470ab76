-- One row per bin and fate: pairs by what `measure` holds of them. The outermost half percent is in the end bins.
-- Whole numbers get bins that are whole numbers wide, so that no bin holds more of them than its neighbour.
-- reads: measure
-- params: $bins = 40
WITH range AS (
    SELECT
        quantile_cont(value, 0.005) AS low,
        quantile_cont(value, 0.995) AS high,
        bool_and(value = round(value)) AS whole
    FROM measure
    WHERE value IS NOT NULL
),

grid AS (
    SELECT
        CASE WHEN whole THEN floor(low) ELSE low END AS low,
        CASE
            WHEN whole THEN greatest(1, ceil((floor(high) - floor(low) + 1) / $bins))
            WHEN high > low THEN (high - low) / $bins
            ELSE 1
        END AS width
    FROM range
)

SELECT
    low + width * least($bins - 1, greatest(0, floor((value - low) / width))) AS start,
    any_value(width) AS width,
    kept,
    count(*) AS pairs
FROM measure
CROSS JOIN grid
WHERE value IS NOT NULL
GROUP BY start, kept
ORDER BY start, kept
