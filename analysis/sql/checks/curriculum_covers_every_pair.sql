-- One row per pair that the curriculum does not hold, or that it holds without its being a pair.
-- reads: pairs, curriculum
SELECT
    coalesce(pairs.pair_id, curriculum.pair_id) AS pair_id,
    pairs.pair_id IS NOT NULL AS is_pair,
    curriculum.pair_id IS NOT NULL AS is_in_curriculum
FROM (SELECT pair_id FROM pairs) AS pairs
FULL JOIN (SELECT pair_id FROM curriculum) AS curriculum USING (pair_id)
WHERE pairs.pair_id IS NULL OR curriculum.pair_id IS NULL
