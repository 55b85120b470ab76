-- One row per policy, side and place relative to the pairs' first difference (0 is the token there): the mean
-- log-probability of the tokens at that place, under the policy and under the reference.
-- reads: token_rewards, pairs
-- params: $before = 12, $after = 36
WITH sides AS (
    SELECT
        chosen.policy AS policy,
        chosen.logps AS chosen_logps,
        chosen.ref_logps AS chosen_ref,
        rejected.logps AS rejected_logps,
        rejected.ref_logps AS rejected_ref,
        coalesce(
            list_position(
                list_transform(
                    range(1, least(len(chosen.tokens), len(rejected.tokens)) + 1),
                    lambda i: chosen.tokens[i] <> rejected.tokens[i]
                ),
                true
            ) - 1,
            least(len(chosen.tokens), len(rejected.tokens))
        ) AS shared
    FROM (SELECT chosen_id, rejected_id FROM pairs) AS pairs
    JOIN token_rewards AS chosen ON chosen.completion_id = chosen_id
    JOIN token_rewards AS rejected ON rejected.completion_id = rejected_id AND rejected.policy = chosen.policy
),

tokens AS (
    SELECT policy, 'chosen' AS side, shared, chosen_logps AS logps, chosen_ref AS ref_logps FROM sides
    UNION ALL
    SELECT policy, 'rejected' AS side, shared, rejected_logps AS logps, rejected_ref AS ref_logps FROM sides
),

places AS (
    SELECT
        policy,
        side,
        unnest(range(len(logps))) - shared AS place,
        unnest(logps) AS logp,
        unnest(ref_logps) AS ref_logp
    FROM tokens
)

SELECT policy, side, place, avg(logp) AS logp, avg(ref_logp) AS ref_logp, count(*) AS tokens
FROM places
WHERE place BETWEEN -$before AND $after
GROUP BY ALL
ORDER BY ALL
