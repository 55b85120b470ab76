-- One row per tenth of the pass rate: 0 none of a problem's samples pass, 1 up to 10 %, 10 above 90 %, 11 all of them.
-- Problems none of whose samples was fairly run are not counted.
-- reads: problem_stats
SELECT
    CASE WHEN pass_rate = 1 THEN 11 ELSE ceil(pass_rate * 10) END::INTEGER AS tenth,
    count(*) AS problems
FROM problem_stats
WHERE pass_rate IS NOT NULL
GROUP BY tenth
ORDER BY tenth
