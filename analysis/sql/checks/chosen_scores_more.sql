-- One row per pair whose chosen side does not score more than the rejected one.
-- reads: pairs
SELECT pair_id, chosen_score, rejected_score
FROM pairs
WHERE NOT chosen_score > rejected_score
