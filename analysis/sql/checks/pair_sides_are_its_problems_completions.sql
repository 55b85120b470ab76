-- One row per side of a pair that is no completion of the pair's problem, or not the text of it.
-- reads: pairs, completions
WITH sides AS (
    SELECT pair_id, problem_id, 'chosen' AS side, chosen_id AS completion_id, md5(chosen) AS text FROM pairs
    UNION ALL
    SELECT pair_id, problem_id, 'rejected' AS side, rejected_id AS completion_id, md5(rejected) AS text FROM pairs
)

SELECT pair_id, side, completion_id
FROM sides
LEFT JOIN (SELECT completion_id, problem_id, md5(text) AS text FROM completions) AS completions USING (completion_id)
WHERE completions.problem_id IS DISTINCT FROM sides.problem_id OR completions.text IS DISTINCT FROM sides.text
