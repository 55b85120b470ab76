-- One row per pair that a person marked to be dropped, and what they wrote about it. `pairwright curate --marks` fills
-- both lists in from the marks, so that what was dropped by hand stands in the recipe and in the manifest.
-- reads: pairs
-- params: $pairs = [], $comments = []
SELECT pair_id, comment
FROM (SELECT unnest($pairs::VARCHAR[]) AS pair_id, unnest($comments::VARCHAR[]) AS comment) AS marked
SEMI JOIN pairs USING (pair_id)
