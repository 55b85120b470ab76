-- One row per pair of one shard of pair_features, in its order: the pair's place in training.
-- reads: placed
-- params: $shard
SELECT position, bucket, metric, pruned_by
FROM placed
WHERE shard = $shard
ORDER BY row
