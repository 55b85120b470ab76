-- One row per pair whose chosen side does not score more than the rejected one; less, where both may pass.
-- reads: pairs
SELECT pair_id, chosen_score, rejected_score
FROM pairs
WHERE
    chosen_score < rejected_score
    OR (chosen_score = rejected_score AND strategy NOT IN ('faster', 'shorter', 'search'))
