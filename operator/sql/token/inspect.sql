-- Inspect: the token with the secret $1, and what became of it and of its mail.
SELECT
    t.id, t.action::text AS action, t.account,
    t.expires_at,
    t.expires_at <= extract(epoch FROM now()) AS expired,
    t.consumed_at,
    coalesce(d.state::text, (
        SELECT l.outcome::text FROM delivery_log AS l
        WHERE l.token = t.id ORDER BY (l.outcome = 'sent') DESC, l.at DESC LIMIT 1
    )) AS delivery
FROM tokens AS t LEFT JOIN deliveries AS d ON d.token = t.id
WHERE t.secret = $1::bytea;
