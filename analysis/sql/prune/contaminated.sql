-- One row per pair that would teach a benchmark: its problem's statement stands in HumanEval or MBPP, or a side of it
-- repeats a solution of theirs; with the task and the passage. Problems taken from a benchmark itself are named only
-- with $own: whoever trains on those does it on purpose, or not.
-- reads: pairs, problems, problem_features, completion_features
-- params: $own = false
WITH sides AS (
    SELECT pair_id, problem_id, unnest([chosen_id, rejected_id]) AS completion_id
    FROM pairs
),

found AS (
    SELECT pair_id, problem_id, contaminated_by, contaminated_passage
    FROM (SELECT pair_id, problem_id FROM pairs) AS pairs
    JOIN problem_features USING (problem_id)
    WHERE contaminated_by IS NOT NULL
    UNION ALL
    SELECT sides.pair_id, sides.problem_id, contaminated_by, contaminated_passage
    FROM sides
    JOIN completion_features USING (completion_id)
    WHERE contaminated_by IS NOT NULL
)

SELECT
    found.pair_id,
    min_by(contaminated_by, contaminated_passage) AS contaminated_by,
    min(contaminated_passage) AS passage
FROM found
JOIN (SELECT problem_id, source FROM problems) AS problems USING (problem_id)
WHERE $own OR problems.source NOT IN ('humaneval', 'mbpp')
GROUP BY found.pair_id
