-- One row per sample of the problem $problem_id, best first: how it fared.
-- reads: completions, executions
-- params: $problem_id
SELECT
    completion_id,
    sample_index,
    status,
    score,
    num_passed,
    num_tests,
    error_type,
    steps,
    sum_logp,
    num_tokens,
    num_chars,
    finish_reason
FROM (
    SELECT completion_id, sample_index, sum_logp, num_tokens, length(text) AS num_chars, finish_reason
    FROM completions
    WHERE problem_id = $problem_id
) AS samples
LEFT JOIN (
    SELECT completion_id, status, score, num_passed, num_tests, error_type, steps
    FROM executions
    WHERE problem_id = $problem_id
) AS runs USING (completion_id)
ORDER BY score DESC NULLS LAST, status, sum_logp DESC NULLS LAST, sample_index
