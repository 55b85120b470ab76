-- One row per problem that no sample solved, with how far they got.
-- reads: problem_stats, executions, problems
WITH ends AS (
    SELECT
        problem_id,
        mode(status ORDER BY status) AS usual_status,
        mode(error_type ORDER BY error_type) AS usual_error,
        min_by(completion_id, (-score, completion_id)) AS best_completion_id
    FROM executions
    WHERE status NOT IN ('refused', 'killed', 'infra_error')
    GROUP BY problem_id
)

SELECT
    problem_stats.problem_id,
    problem_stats.split,
    problems.task_id,
    problem_stats.num_judged::INTEGER AS num_judged,
    problem_stats.best_score,
    ends.best_completion_id,
    ends.usual_status,
    ends.usual_error,
    problems.difficulty,
    length(problems.prompt)::INTEGER AS prompt_chars,
    len(problems.tests)::INTEGER AS num_tests
FROM problem_stats
JOIN ends USING (problem_id)
JOIN problems USING (problem_id)
WHERE problem_stats.num_solved = 0
ORDER BY problem_stats.problem_id
