-- One row per pair with one side far longer than the other: it would teach length before anything else.
-- reads: pair_features
-- params: $max_ratio = 5, $min_gap = 200
SELECT pair_id, length_ratio, length_gap
FROM pair_features
WHERE length_ratio > $max_ratio AND length_gap >= $min_gap
