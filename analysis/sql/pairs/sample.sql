-- One row per pair of a sample of $count: equally many of each bucket and of the pruned ones, as far as they go; the
-- same ones every time.
-- reads: listing
-- params: $count
SELECT pair_id
FROM (
    SELECT pair_id, bucket, position, row_number() OVER (PARTITION BY bucket ORDER BY md5(pair_id), pair_id) AS turn
    FROM listing
)
ORDER BY turn, bucket NULLS LAST
LIMIT $count
