-- One row per problem_id that problem_features holds more than once.
-- reads: problem_features
SELECT problem_id, count(*) AS times
FROM problem_features
GROUP BY problem_id
HAVING count(*) > 1
