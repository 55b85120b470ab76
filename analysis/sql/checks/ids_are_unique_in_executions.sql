-- One row per completion_id that executions holds more than once.
-- reads: executions
SELECT completion_id, count(*) AS times
FROM executions
GROUP BY completion_id
HAVING count(*) > 1
