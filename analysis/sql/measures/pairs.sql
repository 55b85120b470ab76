-- One row per pair: the measures that SQL can take, and the completions whose distances it cannot.
-- reads: pairs, completions, executions, completion_features, problem_stats
WITH sides AS (
    SELECT
        completion_id,
        completions.sum_logp,
        completions.num_tokens,
        completions.sum_logp,
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
)

SELECT
    pairs.pair_id,
    pairs.problem_id,
    pairs.split,
    pairs.chosen_id,
    pairs.rejected_id,
    chosen.sum_logp - rejected.sum_logp AS logp_margin,
    abs(logp_margin) AS logp_distance,
    chosen.sum_logp / nullif(chosen.num_tokens, 0)
        - rejected.sum_logp / nullif(rejected.num_tokens, 0) AS logp_margin_per_token,
    abs(logp_margin_per_token) AS logp_distance_per_token,
    chosen.ast_hash = rejected.ast_hash AS same_ast,
    chosen.num_tokens - rejected.num_tokens AS tokens_gap,
    chosen.num_chars - rejected.num_chars AS chars_gap,
    chosen.num_lines - rejected.num_lines AS lines_gap,
    abs(chars_gap) AS length_gap,
    greatest(chosen.num_chars, rejected.num_chars, 1) / greatest(least(chosen.num_chars, rejected.num_chars), 1)
        AS length_ratio,
    chosen.comment_share - rejected.comment_share AS comment_gap,
    chosen.docstring_share - rejected.docstring_share AS docstring_gap,
    chosen.example_calls - rejected.example_calls AS example_calls_gap,
    chosen.example_prints - rejected.example_prints AS example_prints_gap,
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
FROM pairs
JOIN sides AS chosen ON chosen.completion_id = pairs.chosen_id
JOIN sides AS rejected ON rejected.completion_id = pairs.rejected_id
LEFT JOIN problem_stats ON problem_stats.problem_id = pairs.problem_id
