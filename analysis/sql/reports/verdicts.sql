-- One row per status: the completions judged so, and their share.
-- reads: executions
SELECT
    status,
    count(*) AS completions,
    count(*) / (SELECT count(*) FROM executions) AS share
FROM executions
GROUP BY status
ORDER BY completions DESC, status
