-- One row per problem: how the model's own samples fared. A refusal or a fault of ours is no evidence, so not judged.
-- What stands beside them (references, a teacher's) or was made from them (mutants, continuations) is not counted.
-- reads: problems, completions, executions
WITH samplers AS (
    SELECT DISTINCT problem_id, sampler, model
    FROM completions
    WHERE sample_index = 0
),

own AS (
    SELECT completion_id
    FROM completions
    INNER JOIN samplers USING (problem_id, sampler, model)
    WHERE origin_id IS NULL
),

counted AS (
    SELECT
        problem_id,
        count(*) AS num_samples,
        count(*) FILTER (status NOT IN ('refused', 'killed', 'infra_error')) AS num_judged,
        count(*) FILTER (status = 'passed') AS num_solved,
        max(score) FILTER (status NOT IN ('refused', 'killed', 'infra_error')) AS best_score
    FROM executions
    INNER JOIN own USING (completion_id)
    GROUP BY problem_id
)

SELECT
    problems.problem_id,
    problems.split,
    coalesce(num_samples, 0) AS num_samples,
    coalesce(num_judged, 0) AS num_judged,
    coalesce(num_solved, 0) AS num_solved,
    num_solved / nullif(num_judged, 0) AS pass_rate,
    best_score
FROM problems
LEFT JOIN counted USING (problem_id)
