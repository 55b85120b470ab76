-- One row per training run and stretch of log-probability distance, of equally many pairs: the loss of its pairs in the
-- first epoch.
-- reads: samples, pair_features
-- params: $stretches = 40
WITH placed AS (
    SELECT
        run,
        loss,
        logp_distance,
        (row_number() OVER (PARTITION BY run ORDER BY logp_distance, pair_id) - 1) * $stretches
        // count(*) OVER (PARTITION BY run) AS stretch
    FROM samples
    JOIN pair_features USING (pair_id)
    WHERE logp_distance IS NOT NULL AND isfinite(loss)
)

SELECT
    run,
    median(logp_distance) AS logp_distance,
    avg(loss) AS loss,
    quantile_cont(loss, 0.1) AS low,
    quantile_cont(loss, 0.9) AS high,
    count(*) AS pairs
FROM placed
GROUP BY run, stretch
ORDER BY run, logp_distance
