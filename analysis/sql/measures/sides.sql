-- One row per completion that is a side of a pair: the strings whose distances Python takes.
-- reads: completions, completion_features, pairs
SELECT completion_id, completions.text, text_tokens, ast_tokens, completions.token_ids
FROM completions
JOIN (SELECT completion_id, text_tokens, ast_tokens FROM completion_features) AS measures USING (completion_id)
WHERE completion_id IN (SELECT chosen_id FROM pairs UNION SELECT rejected_id FROM pairs)
