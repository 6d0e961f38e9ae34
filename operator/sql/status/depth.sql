-- Depth: how much is outstanding, by action and state, and for how long. One pass over what is outstanding.
--
-- `due` could be handed over now; `overdue` could have been for a minute. `oldest` is the age in seconds
-- of the oldest promise.
SELECT
    coalesce(d.action::text, 'unknown') AS action,
    d.state::text AS state,
    count(*) AS deliveries,
    count(*) FILTER (WHERE d.state = 'pending' AND d.due_at <= now()) AS due,
    count(*) FILTER (WHERE d.state = 'pending' AND d.due_at <= now() - interval '1 minute') AS overdue,
    greatest(extract(epoch FROM now() - min(d.promised_at)), 0)::float8 AS oldest
FROM deliveries AS d
GROUP BY d.action, d.state
ORDER BY d.action, d.state;
