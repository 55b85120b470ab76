-- One row per pair in the low percentile of the curriculum's metric whose chosen side does not pass every test.
-- Sides that are close together teach the detail that tells them apart, so chosen must have the detail right. Pairs whose
-- chosen merely ran showed no gain in pass@1 elsewhere (McNemar p 0.44 to 0.85, CodeAlign 1.1).
-- reads: pairs, measured
-- params: $percentile = 10
SELECT pairs.pair_id, pairs.chosen_score, measured.metric
FROM (SELECT pair_id, chosen_score FROM pairs) AS pairs
JOIN measured USING (pair_id)
WHERE
    pairs.chosen_score < 1
    AND measured.metric <= (SELECT quantile_cont(metric, $percentile / 100) FROM measured)
