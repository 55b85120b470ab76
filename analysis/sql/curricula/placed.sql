-- One row per pair, by shard and row: its bucket and place, or the rule that pruned it.
-- A bucket counts the cut points below the pair's key, so equal values share one. Ties are broken by pair_id.
-- Shuffled, the pairs change places across buckets, and every bucket keeps its size.
-- reads: measured, pruned
-- params: $cuts, $sign, $shuffled, $shuffled_within, $seed, $rules
WITH keyed AS (
    SELECT
        shard,
        row,
        pair_id,
        metric,
        turn,
        metric * $sign AS key,
        len(list_filter($cuts::DOUBLE[], lambda cut: cut < metric * $sign))::INTEGER AS bucket,
        CASE WHEN $shuffled OR $shuffled_within THEN md5($seed::VARCHAR || ' ' || pair_id) END AS lot,
        within
    FROM measured
    LEFT JOIN pruned USING (pair_id)
),

ordered AS (
    SELECT
        shard,
        row,
        bucket,
        row_number() OVER (
            ORDER BY
                CASE WHEN NOT $shuffled THEN bucket END,
                lot,
                within NULLS LAST,
                key,
                pair_id
        ) - 1 AS position
    FROM keyed
    WHERE turn IS NULL
),

sizes AS (
    SELECT bucket, sum(count(*)) OVER (ORDER BY bucket) AS upto
    FROM ordered
    GROUP BY bucket
),

stairs AS (
    SELECT list(bucket ORDER BY bucket) AS buckets, list(upto ORDER BY bucket) AS uptos
    FROM sizes
)

SELECT
    keyed.shard,
    keyed.row,
    ordered.position,
    CASE
        WHEN $shuffled AND ordered.position IS NOT NULL
            THEN buckets[1 + len(list_filter(uptos, lambda upto: upto <= ordered.position))]
        ELSE ordered.bucket
    END AS bucket,
    keyed.metric,
    $rules[keyed.turn + 1] AS pruned_by
FROM keyed
LEFT JOIN ordered USING (shard, row)
CROSS JOIN stairs
ORDER BY keyed.shard, keyed.row
