-- One row per pair of a problem that no sample solves. The table hopeless_problems keeps how far each of them got.
-- reads: pairs, hopeless_problems
SELECT pairs.pair_id, hopeless_problems.best_score
FROM (SELECT pair_id, problem_id FROM pairs) AS pairs
JOIN hopeless_problems USING (problem_id)
