-- Outstanding: for each action and state how many mails are promised and not settled, how many of
-- them for longer than $1 seconds, and the age of the oldest in seconds. A row for every action and
-- state, also where there is none.
--
-- By the promise, not by due_at: what is tried again later is late all the same. It is for a
-- collector's or a sender's role, too.
WITH promised AS (
    SELECT d.action, d.state, count(*) AS deliveries, min(d.promised_at) AS oldest,
        count(*) FILTER (WHERE d.promised_at < now() - $1::float8 * interval '1 second') AS overdue
    FROM deliveries AS d GROUP BY d.action, d.state
),
kinds AS (
    SELECT actions.action FROM actions UNION SELECT promised.action FROM promised
)
SELECT kinds.action::text, states.state::text,
    coalesce(p.deliveries, 0) AS deliveries,
    coalesce(p.overdue, 0) AS overdue,
    greatest(0, coalesce(extract(epoch FROM now() - p.oldest), 0))::float8 AS oldest_seconds
FROM kinds
CROSS JOIN unnest(enum_range(NULL::delivery_state)) AS states (state)
LEFT JOIN promised AS p ON p.action = kinds.action AND p.state = states.state
ORDER BY 1, 2;
