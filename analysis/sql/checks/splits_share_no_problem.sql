-- One row per problem whose rows, in any table, stand in a split other than the problem's own or in several.
-- reads: problems, completions, executions, pairs, curriculum
WITH placed AS (
    SELECT DISTINCT problem_id, split FROM problems
    UNION
    SELECT DISTINCT problem_id, split FROM completions
    UNION
    SELECT DISTINCT problem_id, split FROM executions
    UNION
    SELECT DISTINCT problem_id, split FROM pairs
    UNION
    SELECT DISTINCT problem_id, split FROM curriculum
)

SELECT problem_id, list(split ORDER BY split) AS splits
FROM placed
GROUP BY problem_id
HAVING count(*) > 1
