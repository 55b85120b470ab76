-- One row per pair that is pruned and has a place in training, or is kept and has none.
-- reads: curriculum
SELECT pair_id, position, bucket, pruned_by
FROM curriculum
WHERE (pruned_by IS NULL) <> (position IS NOT NULL) OR (position IS NULL) <> (bucket IS NULL)
