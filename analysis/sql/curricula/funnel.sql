-- One row per pruning rule, in the order asked: the pairs it names alone, those it removed first, and those left then.
-- reads: measured, named, pruned
-- params: $rules
WITH alone AS (
    SELECT turn, count(*) AS pairs
    FROM named
    GROUP BY turn
),

first AS (
    SELECT turn, count(*) AS pairs
    FROM pruned
    GROUP BY turn
)

SELECT
    rule,
    coalesce(alone.pairs, 0) AS alone,
    coalesce(first.pairs, 0) AS removed,
    ((SELECT count(*) FROM measured) - sum(coalesce(first.pairs, 0)) OVER (ORDER BY turn))::BIGINT AS left
FROM (SELECT unnest($rules::VARCHAR[]) AS rule, generate_subscripts($rules::VARCHAR[], 1) - 1 AS turn) AS rules
LEFT JOIN alone USING (turn)
LEFT JOIN first USING (turn)
ORDER BY turn
