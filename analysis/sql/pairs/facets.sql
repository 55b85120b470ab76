-- One row per value that pairs are filtered by, most pairs first: the kind of filter, the value, its pairs.
-- reads: listing
SELECT 'bucket' AS kind, bucket::VARCHAR AS value, count(*) AS pairs
FROM listing
WHERE bucket IS NOT NULL
GROUP BY bucket
UNION ALL
SELECT 'rule' AS kind, pruned_by AS value, count(*) AS pairs
FROM listing
WHERE pruned_by IS NOT NULL
GROUP BY pruned_by
UNION ALL
SELECT 'strategy' AS kind, strategy AS value, count(*) AS pairs
FROM listing
GROUP BY strategy
ORDER BY kind, pairs DESC, value
