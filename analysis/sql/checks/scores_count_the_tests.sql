-- One row per execution whose score, counts and per-test verdicts do not agree.
-- reads: executions
SELECT completion_id, status, num_passed, num_tests, score, len(test_status) AS verdicts
FROM executions
WHERE
    num_passed NOT BETWEEN 0 AND num_tests
    OR abs(score - num_passed / greatest(num_tests, 1)) > 1e-9
    OR (status = 'passed' AND (num_passed < num_tests OR num_tests = 0))
    OR (len(test_status) > 0 AND len(list_filter(test_status, lambda one: one = 'passed')) <> num_passed)
