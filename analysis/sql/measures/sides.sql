-- One row per side that pairs compare: the strings whose distances Python takes. A side behind a prefix is a pair's own.
-- reads: completions, completion_features, pairs
WITH measured AS (
    SELECT completion_id, completions.text, text_tokens, ast_tokens, completions.token_ids
    FROM completions
    JOIN (SELECT completion_id, text_tokens, ast_tokens FROM completion_features) AS measures USING (completion_id)
),

parts AS (
    SELECT pair_id || ' chosen' AS side, chosen_id AS completion_id, chosen AS text, prefix, prefix_tokens,
        chosen_tokens AS tokens
    FROM pairs
    WHERE prefix_tokens IS NOT NULL
    UNION ALL
    SELECT pair_id || ' rejected', rejected_id, rejected, prefix, prefix_tokens, rejected_tokens
    FROM pairs
    WHERE prefix_tokens IS NOT NULL
)

SELECT completion_id AS side, text, text_tokens, ast_tokens, token_ids
FROM measured
WHERE completion_id IN (
    SELECT chosen_id FROM pairs WHERE prefix_tokens IS NULL
    UNION
    SELECT rejected_id FROM pairs WHERE prefix_tokens IS NULL
)
UNION ALL
SELECT
    side,
    parts.text[length(prefix) + 1:] AS text,
    NULL AS text_tokens,
    CASE WHEN tokens IS NULL THEN ast_tokens END AS ast_tokens,  -- a step is no program
    token_ids[prefix_tokens + 1:coalesce(tokens, len(token_ids))] AS token_ids
FROM parts
JOIN measured USING (completion_id)
