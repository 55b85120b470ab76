-- One row per pair whose two texts another problem has as a pair too, and which pair of them stays (the first by id).
-- reads: pairs
WITH texts AS (
    SELECT pair_id, problem_id, md5(chosen) AS chosen, md5(rejected) AS rejected
    FROM pairs
),

repeated AS (
    SELECT chosen, rejected, min_by(problem_id, pair_id) AS problem_id, min(pair_id) AS first_pair_id
    FROM texts
    GROUP BY chosen, rejected
    HAVING count(DISTINCT problem_id) > 1
)

SELECT texts.pair_id, repeated.first_pair_id
FROM texts
JOIN repeated USING (chosen, rejected)
WHERE texts.problem_id <> repeated.problem_id
