-- One row per problem_id that problems holds more than once.
-- reads: problems
SELECT problem_id, count(*) AS times
FROM problems
GROUP BY problem_id
HAVING count(*) > 1
