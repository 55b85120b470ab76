-- One row per pair whose sides are the same completion or the same text.
-- reads: pairs
SELECT pair_id, chosen_id, rejected_id
FROM pairs
WHERE chosen_id = rejected_id OR chosen = rejected
