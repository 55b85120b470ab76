-- One row per position that is not the next one: training order counts 0, 1, 2 and so on over the kept pairs.
-- reads: curriculum
SELECT pair_id, position, expected
FROM (
    SELECT pair_id, position, row_number() OVER (ORDER BY position, pair_id) - 1 AS expected
    FROM curriculum
    WHERE position IS NOT NULL
)
WHERE position <> expected
