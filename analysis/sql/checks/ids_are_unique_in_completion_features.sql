-- One row per completion_id that completion_features holds more than once.
-- reads: completion_features
SELECT completion_id, count(*) AS times
FROM completion_features
GROUP BY completion_id
HAVING count(*) > 1
