-- One row per execution of a completion that does not exist, or of another problem than its completion's.
-- reads: completions, executions
SELECT executions.completion_id, executions.problem_id, completions.problem_id AS completion_problem_id
FROM executions
LEFT JOIN (SELECT completion_id, problem_id FROM completions) AS completions USING (completion_id)
WHERE completions.problem_id IS DISTINCT FROM executions.problem_id
