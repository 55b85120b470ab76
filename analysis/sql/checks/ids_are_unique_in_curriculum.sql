-- One row per pair_id that curriculum holds more than once.
-- reads: curriculum
SELECT pair_id, count(*) AS times
FROM curriculum
GROUP BY pair_id
HAVING count(*) > 1
