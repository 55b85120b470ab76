-- One row per pair_id that pair_features holds more than once.
-- reads: pair_features
SELECT pair_id, count(*) AS times
FROM pair_features
GROUP BY pair_id
HAVING count(*) > 1
