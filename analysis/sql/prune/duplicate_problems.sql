-- One row per pair of a problem whose statement repeats an earlier problem's, exactly or nearly.
-- reads: pairs, problem_features
SELECT pairs.pair_id, problem_features.duplicate_of, problem_features.similarity
FROM (SELECT pair_id, problem_id FROM pairs) AS pairs
JOIN problem_features USING (problem_id)
WHERE problem_features.duplicate_of IS NOT NULL
