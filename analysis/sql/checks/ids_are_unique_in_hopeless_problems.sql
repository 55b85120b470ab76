-- One row per problem_id that hopeless_problems holds more than once.
-- reads: hopeless_problems
SELECT problem_id, count(*) AS times
FROM hopeless_problems
GROUP BY problem_id
HAVING count(*) > 1
