-- One row for all pairs and one for those kept: how much longer chosen is than rejected on average, and how often.
-- reads: pair_features, curriculum
WITH gaps AS (
    SELECT features.chars_gap, features.tokens_gap, places.pruned_by IS NULL AS kept
    FROM (SELECT pair_id, chars_gap, tokens_gap FROM pair_features) AS features
    JOIN (SELECT pair_id, pruned_by FROM curriculum) AS places USING (pair_id)
),

counted AS (
    SELECT 'all' AS pairs_of, * FROM gaps
    UNION ALL
    SELECT 'kept' AS pairs_of, * FROM gaps WHERE kept
)

SELECT
    pairs_of,
    count(*) AS pairs,
    avg(chars_gap) AS mean_chars_gap,
    avg(tokens_gap) AS mean_tokens_gap,
    avg((chars_gap > 0)::INTEGER) AS chosen_longer
FROM counted
GROUP BY pairs_of
ORDER BY pairs_of
