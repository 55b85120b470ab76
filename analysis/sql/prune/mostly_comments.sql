-- One row per pair with a side that is mostly comment: a model that fills lines with # teaches nothing about programs.
-- On the real samples a third of the pairs near the 90th percentile of edit distance were of this kind.
-- reads: pairs, completion_features
-- params: $max_comment_share = 0.5
SELECT pairs.pair_id, max(measures.comment_share) AS comment_share
FROM (SELECT pair_id, unnest([chosen_id, rejected_id]) AS completion_id FROM pairs) AS pairs
JOIN (SELECT completion_id, comment_share FROM completion_features) AS measures USING (completion_id)
WHERE measures.comment_share > $max_comment_share
GROUP BY pairs.pair_id
