-- One row per pair whose sides are the same program up to comments, docstrings and layout.
-- reads: pair_features
SELECT pair_id, edit_distance
FROM pair_features
WHERE same_ast
