-- One row per pair: the measures that SQL can take, and the sides whose distances it cannot. Log-probabilities and
-- lengths are those behind the pair's prefix, where it has one.
-- reads: pairs, completions, executions, completion_features, problem_stats
WITH sides AS (
    SELECT
        completion_id,
        completions.sum_logp,
        completions.num_tokens,
        measures.num_chars,
        measures.num_lines,
        measures.comment_share,
        measures.docstring_share,
        measures.example_calls,
        measures.example_prints,
        measures.score_rank,
        measures.ast_hash,
        runs.status,
        runs.error_type,
        runs.steps,
        list_transform(runs.test_status, lambda status: status = 'passed') AS tests_passed
    FROM (SELECT completion_id, num_tokens, sum_logp FROM completions) AS completions
    JOIN (SELECT * EXCLUDE (problem_id, split, text_tokens, ast_tokens) FROM completion_features) AS measures
        USING (completion_id)
    JOIN executions AS runs USING (completion_id)
),

chosen_logps AS (
    SELECT completion_id AS chosen_id, token_logps AS chosen_logps, num_tokens AS chosen_end FROM completions
),

rejected_logps AS (
    SELECT completion_id AS rejected_id, token_logps AS rejected_logps, num_tokens AS rejected_end FROM completions
),

behind AS (
    SELECT
        pair_id,
        chosen[length(prefix) + 1:] AS right_text,
        rejected[length(prefix) + 1:] AS wrong_text,
        length(right_text) AS chosen_chars,
        length(wrong_text) AS rejected_chars,
        chosen_chars - length(replace(right_text, chr(10), ''))
            + (right_text <> '' AND NOT ends_with(right_text, chr(10)))::INTEGER AS chosen_lines,
        rejected_chars - length(replace(wrong_text, chr(10), ''))
            + (wrong_text <> '' AND NOT ends_with(wrong_text, chr(10)))::INTEGER AS rejected_lines,
        coalesce(chosen_tokens, chosen_end) AS chosen_last,
        coalesce(rejected_tokens, rejected_end) AS rejected_last,
        chosen_last - prefix_tokens AS chosen_length,
        rejected_last - prefix_tokens AS rejected_length,
        list_sum(chosen_logps[prefix_tokens + 1:chosen_last]::DOUBLE[]) AS chosen_logp,
        list_sum(rejected_logps[prefix_tokens + 1:rejected_last]::DOUBLE[]) AS rejected_logp
    FROM pairs
    JOIN chosen_logps USING (chosen_id)
    JOIN rejected_logps USING (rejected_id)
    WHERE prefix_tokens IS NOT NULL
),

compared AS (
    SELECT
        *,
        CASE WHEN prefix_tokens IS NULL THEN chosen_id ELSE pair_id || ' chosen' END AS chosen_side,
        CASE WHEN prefix_tokens IS NULL THEN rejected_id ELSE pair_id || ' rejected' END AS rejected_side,
        coalesce(chosen_tokens, rejected_tokens) IS NULL AS are_programs
    FROM (SELECT * EXCLUDE (prompt, prefix, chosen, rejected) FROM pairs)
)

SELECT
    pairs.pair_id,
    pairs.problem_id,
    pairs.split,
    pairs.chosen_id,
    pairs.rejected_id,
    pairs.chosen_side,
    pairs.rejected_side,
    coalesce(chosen_logp, chosen.sum_logp) - coalesce(rejected_logp, rejected.sum_logp) AS logp_margin,
    abs(logp_margin) AS logp_distance,
    coalesce(chosen_logp, chosen.sum_logp) / nullif(coalesce(chosen_length, chosen.num_tokens), 0)
        - coalesce(rejected_logp, rejected.sum_logp) / nullif(coalesce(rejected_length, rejected.num_tokens), 0)
        AS logp_margin_per_token,
    abs(logp_margin_per_token) AS logp_distance_per_token,
    CASE WHEN are_programs THEN chosen.ast_hash = rejected.ast_hash END AS same_ast,
    coalesce(chosen_length, chosen.num_tokens) - coalesce(rejected_length, rejected.num_tokens) AS tokens_gap,
    coalesce(chosen_chars, chosen.num_chars) AS right_chars,
    coalesce(rejected_chars, rejected.num_chars) AS wrong_chars,
    right_chars - wrong_chars AS chars_gap,
    coalesce(chosen_lines, chosen.num_lines) - coalesce(rejected_lines, rejected.num_lines) AS lines_gap,
    abs(chars_gap) AS length_gap,
    greatest(right_chars, wrong_chars, 1) / greatest(least(right_chars, wrong_chars), 1) AS length_ratio,
    CASE WHEN are_programs THEN chosen.comment_share - rejected.comment_share END AS comment_gap,
    CASE WHEN are_programs THEN chosen.docstring_share - rejected.docstring_share END AS docstring_gap,
    CASE WHEN are_programs THEN chosen.example_calls - rejected.example_calls END AS example_calls_gap,
    CASE WHEN are_programs THEN chosen.example_prints - rejected.example_prints END AS example_prints_gap,
    pairs.chosen_score - pairs.rejected_score AS test_gap,
    list_filter(
        range(least(len(chosen.tests_passed), len(rejected.tests_passed)))::INTEGER[],
        lambda test: chosen.tests_passed[test + 1] <> rejected.tests_passed[test + 1]
    ) AS tests_differ,
    chosen.status AS chosen_status,
    rejected.status AS rejected_status,
    chosen.error_type AS chosen_error,
    rejected.error_type AS rejected_error,
    chosen.steps / nullif(rejected.steps, 0) AS steps_ratio,
    chosen.score_rank AS chosen_rank,
    rejected.score_rank AS rejected_rank,
    problem_stats.pass_rate
FROM compared AS pairs
JOIN sides AS chosen ON chosen.completion_id = pairs.chosen_id
JOIN sides AS rejected ON rejected.completion_id = pairs.rejected_id
LEFT JOIN behind USING (pair_id)
LEFT JOIN problem_stats ON problem_stats.problem_id = pairs.problem_id
