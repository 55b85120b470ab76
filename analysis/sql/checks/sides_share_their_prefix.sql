-- One row per pair whose sides do not both begin with its prefix, in text and in tokens.
-- reads: pairs, completions
SELECT pair_id, prefix_tokens
FROM pairs
LEFT JOIN (SELECT completion_id AS chosen_id, token_ids AS chosen_ids FROM completions) AS c USING (chosen_id)
LEFT JOIN (SELECT completion_id AS rejected_id, token_ids AS rejected_ids FROM completions) AS r USING (rejected_id)
WHERE
    NOT starts_with(chosen, prefix)
    OR NOT starts_with(rejected, prefix)
    OR (prefix IS NULL) <> (prefix_tokens IS NULL)
    OR (prefix_tokens > 0 AND chosen_ids[1:prefix_tokens] IS DISTINCT FROM rejected_ids[1:prefix_tokens])
    OR prefix_tokens >= coalesce(chosen_tokens, len(chosen_ids))
    OR prefix_tokens >= coalesce(rejected_tokens, len(rejected_ids))
