-- One row per bucket that starts before an easier one has ended: training meets bucket 0 first, then 1 and so on.
-- reads: curriculum
SELECT bucket, first_position, last_before
FROM (
    SELECT
        bucket,
        min(position) AS first_position,
        max(max(position)) OVER (ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS last_before
    FROM curriculum
    WHERE position IS NOT NULL
    GROUP BY bucket
)
WHERE first_position <= last_before
