-- One row per pair that says nearly what an earlier pair of its problem says: both sides share most of their runs of
-- three words, as Jaccard similarity, with the sides of that one. Samples are compared within their problem only, and
-- only where their numbers of runs allow the similarity.
-- reads: pairs, completion_features
-- params: $min_similarity = 0.9
WITH sides AS (
    SELECT DISTINCT problem_id, unnest([chosen_id, rejected_id]) AS completion_id
    FROM pairs
),

runs AS (
    SELECT
        sides.problem_id,
        completion_id,
        list_distinct(list_transform(
            range(1, greatest(length(text_tokens) - 1, 2)), lambda start: substring(text_tokens, start, 3)
        )) AS runs
    FROM sides
    JOIN (SELECT completion_id, text_tokens FROM completion_features) AS measures USING (completion_id)
),

alike AS (
    SELECT one.completion_id AS one, other.completion_id AS other
    FROM runs AS one
    JOIN runs AS other USING (problem_id)
    WHERE
        least(len(one.runs), len(other.runs)) >= $min_similarity * greatest(len(one.runs), len(other.runs))
        AND len(list_intersect(one.runs, other.runs))
        >= $min_similarity
        * (len(one.runs) + len(other.runs) - len(list_intersect(one.runs, other.runs)))
)

SELECT later.pair_id, min(earlier.pair_id) AS first_pair_id
FROM (SELECT pair_id, problem_id, chosen_id, rejected_id FROM pairs) AS later
JOIN alike AS chosen ON chosen.one = later.chosen_id
JOIN alike AS rejected ON rejected.one = later.rejected_id
JOIN (SELECT pair_id, problem_id, chosen_id, rejected_id FROM pairs) AS earlier
    ON earlier.problem_id = later.problem_id
    AND earlier.chosen_id = chosen.other
    AND earlier.rejected_id = rejected.other
    AND earlier.pair_id < later.pair_id
GROUP BY later.pair_id
