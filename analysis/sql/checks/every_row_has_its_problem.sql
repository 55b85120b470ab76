-- One row per problem_id that a table uses and problems does not have.
-- reads: problems, completions, executions, pairs
WITH used AS (
    SELECT DISTINCT 'completions' AS used_by, problem_id FROM completions
    UNION ALL
    SELECT DISTINCT 'executions' AS used_by, problem_id FROM executions
    UNION ALL
    SELECT DISTINCT 'pairs' AS used_by, problem_id FROM pairs
)

SELECT used_by, problem_id
FROM used
ANTI JOIN problems USING (problem_id)
