-- One row per pair that has to go so that chosen is not longer than rejected on average, with how much longer it is: of
-- what the rules before this one left in each split, the fewest pairs, those with the largest gap first. Ask it last.
-- In characters, or with $tokens in the model's tokens, where pairs without tokens stay.
-- reads: pair_features, measured, earlier
-- params: $tokens = false
WITH gaps AS (
    SELECT pair_id, split, CASE WHEN $tokens THEN tokens_gap ELSE chars_gap END AS gap
    FROM pair_features
    SEMI JOIN (SELECT pair_id FROM measured WHERE metric IS NOT NULL) AS measured USING (pair_id)
    ANTI JOIN earlier USING (pair_id)
),

falling AS (
    SELECT
        pair_id,
        gap,
        sum(gap) OVER (PARTITION BY split)
        - coalesce(
            sum(gap) OVER (
                PARTITION BY split
                ORDER BY gap DESC, pair_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ),
            0
        ) AS left_over
    FROM gaps
    WHERE gap IS NOT NULL
)

SELECT pair_id, gap
FROM falling
WHERE left_over > 0
