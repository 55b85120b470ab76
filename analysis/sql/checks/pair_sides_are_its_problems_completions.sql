-- One row per side of a pair that is no completion of the pair's problem, or not the text of it or of its start.
-- reads: pairs, completions
WITH sides AS (
    SELECT pair_id, problem_id, 'chosen' AS side, chosen_id AS completion_id, chosen AS text, chosen_tokens AS tokens
    FROM pairs
    UNION ALL
    SELECT pair_id, problem_id, 'rejected', rejected_id, rejected, rejected_tokens
    FROM pairs
)

SELECT pair_id, side, completion_id
FROM sides
LEFT JOIN (SELECT completion_id, problem_id, text AS whole FROM completions) AS completions USING (completion_id)
WHERE
    completions.problem_id IS DISTINCT FROM sides.problem_id
    OR CASE WHEN tokens IS NULL THEN whole IS DISTINCT FROM text ELSE NOT starts_with(whole, text) END
