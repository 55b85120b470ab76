-- One row per pair whose two programs are, up to comments and layout, those of another pair of its problem that stays.
-- reads: pairs, completion_features
WITH programs AS (
    SELECT pairs.pair_id, pairs.problem_id, chosen.ast_hash AS chosen, rejected.ast_hash AS rejected
    FROM (SELECT pair_id, problem_id, chosen_id, rejected_id FROM pairs) AS pairs
    JOIN (SELECT completion_id, ast_hash FROM completion_features) AS chosen ON chosen.completion_id = pairs.chosen_id
    JOIN (SELECT completion_id, ast_hash FROM completion_features) AS rejected
        ON rejected.completion_id = pairs.rejected_id
    WHERE chosen.ast_hash IS NOT NULL AND rejected.ast_hash IS NOT NULL
),

kept AS (
    SELECT problem_id, chosen, rejected, min(pair_id) AS first_pair_id
    FROM programs
    GROUP BY problem_id, chosen, rejected
)

SELECT programs.pair_id, kept.first_pair_id
FROM programs
JOIN kept USING (problem_id, chosen, rejected)
WHERE programs.pair_id <> kept.first_pair_id
