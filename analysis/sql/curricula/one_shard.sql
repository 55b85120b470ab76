-- One row per pair of one shard of pair_features, in its order: the pair's place in training.
-- reads: placed
-- params: $file, $shard
SELECT features.pair_id, features.problem_id, features.split, placed.position, placed.bucket, placed.metric, placed.pruned_by
FROM read_parquet($file, file_row_number = true) AS features
JOIN placed ON placed.shard = $shard AND placed.row = features.file_row_number
ORDER BY features.file_row_number
