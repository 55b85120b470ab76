-- One row per pair that would teach a benchmark: its problem's statement stands in HumanEval or MBPP, or a side of it
-- repeats a solution of theirs; with the task and the passage. Problems taken from a benchmark itself are named only
-- with $own: whoever trains on those does it on purpose, or not.
-- reads: pairs, problems, problem_features, completion_features
-- params: $own = false
WITH contaminated AS (
    SELECT problem_id, contaminated_by, contaminated_passage
    FROM problem_features
    WHERE contaminated_by IS NOT NULL
    UNION ALL
    SELECT problem_id, contaminated_by, contaminated_passage
    FROM completion_features
    WHERE
        contaminated_by IS NOT NULL
        AND completion_id IN (SELECT chosen_id FROM pairs UNION SELECT rejected_id FROM pairs)
),

passages AS (
    SELECT problem_id, min_by(contaminated_by, contaminated_passage) AS contaminated_by, min(contaminated_passage) AS passage
    FROM contaminated
    GROUP BY problem_id
)

SELECT pairs.pair_id, passages.contaminated_by, passages.passage
FROM (SELECT pair_id, problem_id FROM pairs) AS pairs
JOIN passages USING (problem_id)
JOIN (SELECT problem_id, source FROM problems) AS problems USING (problem_id)
WHERE $own OR problems.source NOT IN ('humaneval', 'mbpp')
