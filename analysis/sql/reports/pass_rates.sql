-- One row per problem with a judged sample, hardest first: the share of its judged samples that pass every test.
-- reads: problem_stats, problems
SELECT task_id, problem_id, num_judged, num_solved, pass_rate
FROM problem_stats
JOIN (SELECT problem_id, task_id FROM problems) AS names USING (problem_id)
WHERE num_judged > 0
ORDER BY pass_rate, task_id, problem_id
