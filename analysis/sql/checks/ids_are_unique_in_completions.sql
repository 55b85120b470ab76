-- One row per completion_id that completions holds more than once.
-- reads: completions
SELECT completion_id, count(*) AS times
FROM completions
GROUP BY completion_id
HAVING count(*) > 1
