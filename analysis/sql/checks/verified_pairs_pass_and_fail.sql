-- One row per pair of a strategy that promises a chosen side that passes and a rejected one that fails, and does not.
-- reads: pairs, executions
SELECT pair_id, strategy, chosen_status, rejected_status
FROM pairs
LEFT JOIN (SELECT completion_id AS chosen_id, status AS chosen_status FROM executions) AS c USING (chosen_id)
LEFT JOIN (SELECT completion_id AS rejected_id, status AS rejected_status FROM executions) AS r USING (rejected_id)
WHERE
    strategy IN ('mutation', 'step_dpo', 'step_controlled', 'search')
    AND (chosen_status IS DISTINCT FROM 'passed' OR rejected_status IS NOT DISTINCT FROM 'passed')
