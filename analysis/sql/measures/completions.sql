-- One row per completion: its length, its place among its problem's samples, and the text and code that Python measures.
-- reads: completions, sample_ranks
SELECT
    completions.completion_id,
    completions.problem_id,
    completions.split,
    length(completions.text)::INTEGER AS num_chars,
    length(completions.text) - length(replace(completions.text, chr(10), ''))
        + (completions.text <> '' AND NOT ends_with(completions.text, chr(10)))::INTEGER AS num_lines,
    sample_ranks.score_rank,
    completions.code,
    completions.text
FROM completions
LEFT JOIN sample_ranks USING (completion_id)
