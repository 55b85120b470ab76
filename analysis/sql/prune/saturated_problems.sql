-- One row per pair of a problem that nearly every sample solves: there is little left to learn from it.
-- reads: pair_features
-- params: $max_pass_rate = 0.95
SELECT pair_id, pass_rate
FROM pair_features
WHERE pass_rate > $max_pass_rate
