-- One row: how many problems no sample solves, and how far their best samples got on average.
-- reads: hopeless_problems
SELECT count(*) AS problems, avg(best_score) AS mean_best_score
FROM hopeless_problems
