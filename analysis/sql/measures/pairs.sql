-- One row per pair: the measures that SQL can take, and the strings whose distances it cannot (rapidfuzz takes those).
-- reads: pairs, completions, executions, completion_features, problem_stats
SELECT
    pairs.pair_id,
    pairs.problem_id,
    pairs.split,
    pairs.chosen,
    pairs.rejected,
    chosen_measures.text_tokens AS chosen_tokens,
    rejected_measures.text_tokens AS rejected_tokens,
    chosen_measures.ast_tokens AS chosen_ast,
    rejected_measures.ast_tokens AS rejected_ast,
    chosen_sample.token_ids AS chosen_ids,
    rejected_sample.token_ids AS rejected_ids,
    pairs.ref_chosen_logps - pairs.ref_rejected_logps AS logp_margin,
    abs(logp_margin) AS logp_distance,
    pairs.ref_chosen_logps / nullif(chosen_sample.num_tokens, 0)
        - pairs.ref_rejected_logps / nullif(rejected_sample.num_tokens, 0) AS logp_margin_per_token,
    abs(logp_margin_per_token) AS logp_distance_per_token,
    chosen_measures.ast_hash = rejected_measures.ast_hash AS same_ast,
    chosen_sample.num_tokens - rejected_sample.num_tokens AS tokens_gap,
    chosen_measures.num_chars - rejected_measures.num_chars AS chars_gap,
    chosen_measures.num_lines - rejected_measures.num_lines AS lines_gap,
    abs(chars_gap) AS length_gap,
    greatest(chosen_measures.num_chars, rejected_measures.num_chars, 1)
        / greatest(least(chosen_measures.num_chars, rejected_measures.num_chars), 1) AS length_ratio,
    chosen_measures.comment_share - rejected_measures.comment_share AS comment_gap,
    chosen_measures.docstring_share - rejected_measures.docstring_share AS docstring_gap,
    chosen_measures.example_calls - rejected_measures.example_calls AS example_calls_gap,
    chosen_measures.example_prints - rejected_measures.example_prints AS example_prints_gap,
    pairs.chosen_score - pairs.rejected_score AS test_gap,
    list_filter(
        range(least(len(chosen_run.test_status), len(rejected_run.test_status)))::INTEGER[],
        lambda i: (chosen_run.test_status[i + 1] = 'passed') <> (rejected_run.test_status[i + 1] = 'passed')
    ) AS tests_differ,
    chosen_run.status AS chosen_status,
    rejected_run.status AS rejected_status,
    chosen_run.error_type AS chosen_error,
    rejected_run.error_type AS rejected_error,
    chosen_run.steps / nullif(rejected_run.steps, 0) AS steps_ratio,
    chosen_measures.score_rank AS chosen_rank,
    rejected_measures.score_rank AS rejected_rank,
    problem_stats.pass_rate
FROM pairs
JOIN completions AS chosen_sample ON chosen_sample.completion_id = pairs.chosen_id
JOIN completions AS rejected_sample ON rejected_sample.completion_id = pairs.rejected_id
JOIN completion_features AS chosen_measures ON chosen_measures.completion_id = pairs.chosen_id
JOIN completion_features AS rejected_measures ON rejected_measures.completion_id = pairs.rejected_id
JOIN executions AS chosen_run ON chosen_run.completion_id = pairs.chosen_id
JOIN executions AS rejected_run ON rejected_run.completion_id = pairs.rejected_id
LEFT JOIN problem_stats ON problem_stats.problem_id = pairs.problem_id
