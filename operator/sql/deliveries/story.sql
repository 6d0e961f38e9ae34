-- Story: what these tokens are and what state their mail is in now, never what they open.
--
-- $1 tokens; in their order. Times are in microseconds, those of tokens in seconds since 1970.
-- `state` is as in delivery_status; NULL: handed over before deliveries were recorded, or purged.
SELECT
    i.token, t.id IS NULL AS deleted, t.account, a.status::text AS account_status,
    coalesce(t.action, d.action, (
        SELECT e.action FROM delivery_log AS e WHERE e.token = i.token AND e.action IS NOT NULL LIMIT 1
    ))::text AS action,
    t.created_at, t.expires_at, t.consumed_at,
    t.expires_at <= extract(epoch FROM now()) AS expired,
    a.status <> ALL (k.statuses) AS barred,
    coalesce(d.state::text, l.outcome::text) AS state,
    d.token IS NOT NULL AS outstanding,
    d.attempts,
    (extract(epoch FROM d.promised_at) * 1000000)::bigint AS promised_at,
    (extract(epoch FROM d.due_at) * 1000000)::bigint AS due_at,
    h.kind, h.host, h.pid
FROM unnest($1::bigint[]) WITH ORDINALITY AS i (token, place)
LEFT JOIN tokens AS t ON t.id = i.token
LEFT JOIN accounts AS a ON a.id = t.account
LEFT JOIN actions AS k ON k.action = t.action
LEFT JOIN deliveries AS d ON d.token = i.token
LEFT JOIN holders AS h ON h.number = d.holder
LEFT JOIN LATERAL (
    SELECT e.outcome FROM delivery_log AS e
    WHERE e.token = i.token
    ORDER BY (e.outcome = 'sent') DESC, e.at DESC
    LIMIT 1
) AS l ON true
ORDER BY i.place;
