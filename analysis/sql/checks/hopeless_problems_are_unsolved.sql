-- One row per problem that is set aside as hopeless though a sample passed, or that is not though none did.
-- reads: problem_stats, hopeless_problems
SELECT
    coalesce(hopeless_problems.problem_id, problem_stats.problem_id) AS problem_id,
    problem_stats.num_judged,
    problem_stats.num_solved
FROM hopeless_problems
FULL JOIN problem_stats USING (problem_id)
WHERE (hopeless_problems.problem_id IS NOT NULL) <> coalesce(
        problem_stats.num_judged > 0 AND problem_stats.num_solved = 0, FALSE
    )
