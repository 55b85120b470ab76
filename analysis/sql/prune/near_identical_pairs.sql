-- One row per pair whose sides differ by almost nothing, and by how much: such a pair says which token, not which program.
-- reads: pair_features
-- params: $max_edit_share = 0.01
SELECT pair_id, edit_distance, edit_normalized
FROM pair_features
WHERE edit_normalized <= $max_edit_share
