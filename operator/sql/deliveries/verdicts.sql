-- Verdicts: which of these tokens can be mailed again, and what stands against the others, in their order.
--
-- $1 tokens, $2 the outcome they were chosen for (NULL: they were named one by one), $3 whether those
-- that have expired get more time, $4 whether those already sent may be sent again, $5 whether their
-- deliveries are ours: taken in this transaction, so that nothing can happen to them but a late `sent`,
-- $6 whether what an operator has cancelled is meant, too, if it was not named.
-- `verdict` NULL: it can be. Reads only.
SELECT
    i.token,
    CASE
        WHEN d.token IS NOT NULL AND NOT $5::boolean THEN 'outstanding'
        WHEN t.id IS NULL THEN 'deleted'
        WHEN t.consumed_at IS NOT NULL THEN 'used'
        WHEN k.action IS NULL THEN 'unknown action'
        WHEN l.outcome = 'sent' AND NOT $4::boolean THEN 'sent'
        WHEN l.outcome IS NULL AND NOT $4::boolean THEN 'unrecorded'
        WHEN $2::text IS NOT NULL AND l.outcome::text IS DISTINCT FROM $2::text THEN 'changed'
        WHEN $2::text IS NOT NULL AND l.detail = 'cancelled by an operator' AND NOT $6::boolean
            THEN 'cancelled'
        WHEN t.expires_at <= extract(epoch FROM now()) AND NOT $3::boolean THEN 'expired'
        WHEN a.status <> ALL (k.statuses) THEN 'barred'
    END AS verdict
FROM unnest($1::bigint[]) WITH ORDINALITY AS i (token, place)
LEFT JOIN deliveries AS d ON d.token = i.token
LEFT JOIN tokens AS t ON t.id = i.token
LEFT JOIN accounts AS a ON a.id = t.account
LEFT JOIN actions AS k ON k.action = t.action
LEFT JOIN LATERAL (
    SELECT e.outcome, e.detail FROM delivery_log AS e
    WHERE e.token = i.token
    ORDER BY (e.outcome = 'sent') DESC, e.at DESC
    LIMIT 1
) AS l ON true
ORDER BY i.place;
