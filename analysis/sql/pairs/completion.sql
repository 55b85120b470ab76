-- One row: the completion $completion_id of the problem $problem_id with its tokens and its run.
-- reads: completions, executions
-- params: $problem_id, $completion_id
SELECT
    completion_id,
    sample_index,
    text,
    token_ids,
    token_logps,
    sum_logp,
    num_tokens,
    finish_reason,
    model,
    status,
    test_status,
    num_passed,
    num_tests,
    score,
    error_type,
    error_message,
    steps
FROM (SELECT * FROM completions WHERE problem_id = $problem_id AND completion_id = $completion_id) AS sample
LEFT JOIN (
    SELECT completion_id, status, test_status, num_passed, num_tests, score, error_type, error_message, steps
    FROM executions
    WHERE problem_id = $problem_id
) AS runs USING (completion_id)
