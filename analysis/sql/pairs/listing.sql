-- One row per pair with all that pairs are found and sorted by; `shard` is the 0-based number
-- of the shard it is in, `row` its 0-based place there.
-- reads: shard_features, curriculum, pairs, problems
-- params: $files
SELECT
    shard_features.* EXCLUDE (filename, file_row_number, tests_differ),
    list_position($files::VARCHAR[], filename) - 1 AS shard,
    file_row_number AS row,
    task_id,
    strategy,
    bucket,
    position,
    metric,
    pruned_by
FROM shard_features
JOIN (SELECT pair_id, bucket, position, metric, pruned_by FROM curriculum) AS places USING (pair_id)
JOIN (SELECT pair_id, strategy FROM pairs) AS pairs USING (pair_id)
JOIN (SELECT problem_id, task_id FROM problems) AS problems USING (problem_id)
