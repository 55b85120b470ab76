-- One row per exception class, the $top most frequent: the runs whose first failing test raised it.
-- reads: executions
-- params: $top = 15
SELECT error_type, count(*) AS completions
FROM executions
WHERE error_type IS NOT NULL AND status <> 'passed'
GROUP BY error_type
ORDER BY completions DESC, error_type
LIMIT $top
