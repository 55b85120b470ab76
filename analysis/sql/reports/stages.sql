-- One row: how many of everything there is on the way from problems to the pairs that are trained on.
-- reads: problems, completions, executions, pairs, curriculum
SELECT
    (SELECT count(*) FROM problems) AS problems,
    (SELECT count(*) FROM completions) AS completions,
    (SELECT count(*) FROM completions WHERE code IS NOT NULL) AS programs,
    (SELECT count(*) FROM executions WHERE status NOT IN ('refused', 'killed', 'infra_error')) AS judged,
    (SELECT count(*) FROM executions WHERE status = 'passed') AS passed,
    (SELECT count(*) FROM pairs) AS pairs,
    (SELECT count(*) FROM curriculum WHERE pruned_by IS NULL) AS trained
