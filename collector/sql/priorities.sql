-- Priorities: those there are, in ascending order, and those of the actions, which may come.
--
-- $1 our backend, $2 queue. Walks over what is dead, so it is not asked with every claim.
WITH RECURSIVE probed (priority) AS (
    SELECT (-1)::smallint WHERE mailroom_session($1::integer)
    UNION ALL
    SELECT (
        SELECT d.priority FROM deliveries AS d
        WHERE d.queue = $2::text::job_type AND d.priority > p.priority
        ORDER BY d.priority LIMIT 1
    )
    FROM probed AS p WHERE p.priority IS NOT NULL
)
SELECT p.priority FROM probed AS p WHERE p.priority >= 0
UNION
SELECT k.priority FROM actions AS k WHERE k.queue = $2::text::job_type
ORDER BY priority;
