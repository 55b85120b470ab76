-- One row per judged sample: its place among its problem's, 1 = highest share of tests; equal scores share a place.
-- reads: executions
SELECT
    completion_id,
    problem_id,
    (rank() OVER (PARTITION BY problem_id ORDER BY score DESC))::INTEGER AS score_rank
FROM executions
WHERE status NOT IN ('refused', 'killed', 'infra_error')
