-- One row per completion that was not run.
-- reads: completions, executions
SELECT completion_id, problem_id
FROM completions
ANTI JOIN executions USING (completion_id)
