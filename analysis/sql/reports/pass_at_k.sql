-- One row: the unbiased estimate of pass@k (Chen et al. 2021, Eq. 1), the mean over the problems with at least k samples.
-- A sample that was refused or met a fault of ours is no evidence either way and is not counted among n.
-- list_product of no factors is NULL and avg skips NULL, so c = 0 has its own branch.
-- reads: problem_stats
-- params: $k = 1
SELECT
    $k::INTEGER AS k,
    count(*) AS problems,
    avg(
        CASE
            WHEN num_solved = 0 THEN 0.0
            WHEN num_judged - num_solved < $k THEN 1.0
            ELSE 1.0 - list_product(
                list_transform(range(num_judged - num_solved + 1, num_judged + 1), lambda i: 1.0 - $k::DOUBLE / i)
            )
        END
    ) AS pass_at_k
FROM problem_stats
WHERE num_judged >= $k
