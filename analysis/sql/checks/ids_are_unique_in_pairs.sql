-- One row per pair_id that pairs holds more than once.
-- reads: pairs
SELECT pair_id, count(*) AS times
FROM pairs
GROUP BY pair_id
HAVING count(*) > 1
