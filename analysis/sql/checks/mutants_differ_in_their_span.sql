-- One row per pair of a completion and its mutant whose texts differ outside of the recorded span, or not within it.
-- reads: pairs, completions
WITH mutants AS (
    SELECT completion_id AS rejected_id, origin_id AS chosen_id, span_start, span_end, origin_span_end
    FROM completions
    WHERE mutation IS NOT NULL
)

SELECT pair_id, span_start, span_end, origin_span_end
FROM pairs
INNER JOIN mutants USING (chosen_id, rejected_id)
WHERE
    left(chosen, span_start) IS DISTINCT FROM left(rejected, span_start)
    OR substr(chosen, origin_span_end + 1) IS DISTINCT FROM substr(rejected, span_end + 1)
    OR chosen[span_start + 1:origin_span_end] IS NOT DISTINCT FROM rejected[span_start + 1:span_end]
