-- One row per pruning rule of two versions: the pairs it removed in each.
-- reads: before.curriculum, after.curriculum
WITH counted AS (
    SELECT pruned_by AS rule, count(*) AS old, NULL AS new
    FROM before.curriculum
    WHERE pruned_by IS NOT NULL
    GROUP BY rule
    UNION ALL
    SELECT pruned_by AS rule, NULL AS old, count(*) AS new
    FROM after.curriculum
    WHERE pruned_by IS NOT NULL
    GROUP BY rule
)

SELECT rule, sum(old)::BIGINT AS before, sum(new)::BIGINT AS after
FROM counted
GROUP BY rule
ORDER BY rule
