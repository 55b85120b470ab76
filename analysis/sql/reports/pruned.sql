-- One row per pruning rule that removed pairs: how many it was the first to name, out of all.
-- reads: curriculum
SELECT
    pruned_by AS rule,
    count(*) AS removed,
    count(*) / (SELECT count(*) FROM curriculum) AS share
FROM curriculum
WHERE pruned_by IS NOT NULL
GROUP BY rule
ORDER BY removed DESC, rule
