-- One row per cell of a grid: pairs by the length of their chosen and of their rejected side, in characters.
-- A cell is a $cells-th of the 99th percentile of all lengths wide; what is longer is in the last one.
-- reads: pairs, completion_features
-- params: $cells = 28
WITH sides AS (
    SELECT chosen.num_chars AS chosen, rejected.num_chars AS rejected
    FROM (SELECT chosen_id, rejected_id FROM pairs) AS pairs
    JOIN completion_features AS chosen ON chosen.completion_id = chosen_id
    JOIN completion_features AS rejected ON rejected.completion_id = rejected_id
),

grid AS (
    SELECT greatest(1, ceil(quantile_cont(length, 0.99) / $cells))::BIGINT AS width
    FROM (SELECT unnest([chosen, rejected]) AS length FROM sides)
)

SELECT
    least(chosen // width, $cells - 1) * width AS chosen,
    least(rejected // width, $cells - 1) * width AS rejected,
    any_value(width) AS width,
    count(*) AS pairs
FROM sides
CROSS JOIN grid
GROUP BY ALL
ORDER BY ALL
