-- Outstanding: for each action and state how many mails are promised and not settled, how many of them
-- could have been handed over for longer than $1 seconds (overdue), how many of those are in a queue
-- of which nobody holds anything (unclaimed), how many are promised for longer than that (waiting),
-- and the age of the oldest promise in seconds; and whether any mail was accepted within $1 seconds. A
-- row for every action and state, also where there is none.
--
-- Of the log it reads one entry of its index. It is for a collector's or a sender's role, too.
WITH bound AS (
    SELECT now() - $1::float8 * interval '1 second' AS since
),
parts AS MATERIALIZED (
    SELECT coalesce(d.action::text, 'unknown') AS action, d.state, d.queue, count(*) AS deliveries,
        count(*) FILTER (WHERE d.state = 'pending' AND d.due_at < b.since) AS overdue,
        count(*) FILTER (WHERE d.promised_at < b.since) AS waiting,
        min(d.promised_at) AS oldest
    FROM deliveries AS d CROSS JOIN bound AS b
    GROUP BY d.action, d.state, d.queue
),
queues AS (
    SELECT p.queue, bool_and(p.state = 'pending') AS unheld FROM parts AS p GROUP BY p.queue
),
promised AS (
    SELECT p.action, p.state, sum(p.deliveries)::bigint AS deliveries,
        sum(p.overdue)::bigint AS overdue,
        sum(p.overdue) FILTER (WHERE q.unheld)::bigint AS unclaimed,
        sum(p.waiting)::bigint AS waiting,
        min(p.oldest) AS oldest
    FROM parts AS p JOIN queues AS q ON q.queue = p.queue
    GROUP BY p.action, p.state
),
kinds AS (
    SELECT a.action::text AS action FROM actions AS a UNION SELECT p.action FROM promised AS p
)
SELECT kinds.action, states.state::text,
    coalesce(p.deliveries, 0) AS deliveries,
    coalesce(p.overdue, 0) AS overdue,
    coalesce(p.unclaimed, 0) AS unclaimed,
    coalesce(p.waiting, 0) AS waiting,
    greatest(0, coalesce(extract(epoch FROM now() - p.oldest), 0))::float8 AS oldest_seconds,
    EXISTS (
        SELECT FROM (
            SELECT l.at FROM delivery_log AS l
            WHERE l.outcome = 'sent' AND l.at > now() - $1::float8 * interval '1 second'
            ORDER BY l.at DESC LIMIT 1
        ) AS last
    ) AS accepted
FROM kinds
CROSS JOIN unnest(enum_range(NULL::delivery_state)) AS states (state)
LEFT JOIN promised AS p ON p.action IS NOT DISTINCT FROM kinds.action AND p.state = states.state
ORDER BY 1, 2;
