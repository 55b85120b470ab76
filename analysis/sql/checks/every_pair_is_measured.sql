-- One row per pair without measures, or measures without a pair.
-- reads: pairs, pair_features
SELECT
    coalesce(pairs.pair_id, pair_features.pair_id) AS pair_id,
    pairs.pair_id IS NOT NULL AS is_pair,
    pair_features.pair_id IS NOT NULL AS is_measured
FROM (SELECT pair_id FROM pairs) AS pairs
FULL JOIN (SELECT pair_id FROM pair_features) AS pair_features USING (pair_id)
WHERE pairs.pair_id IS NULL OR pair_features.pair_id IS NULL
