-- One row per side of a pair whose run is no evidence (refused, killed, infra_error), is missing, or scored otherwise.
-- reads: pairs, executions
WITH sides AS (
    SELECT pair_id, 'chosen' AS side, chosen_id AS completion_id, chosen_score AS pair_score FROM pairs
    UNION ALL
    SELECT pair_id, 'rejected' AS side, rejected_id AS completion_id, rejected_score AS pair_score FROM pairs
)

SELECT pair_id, side, completion_id, status, pair_score, score
FROM sides
LEFT JOIN (SELECT completion_id, status, score FROM executions) AS executions USING (completion_id)
WHERE
    coalesce(status, 'refused') IN ('refused', 'killed', 'infra_error')
    OR abs(pair_score - score) > 1e-9
