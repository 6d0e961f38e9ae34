-- Settle sent: the provider accepted these. A fact, so it wins in whatever state the rows are.
--
-- $1 our backend, $2 transport, $3 tokens, $4 attempts, $5 provider's ids, in the same order.
-- Durable before it returns. Asked again after a lost answer it adds nothing: a second `sent` row
-- means a second mail.
WITH done AS MATERIALIZED (
    SELECT s.token, s.attempt, s.provider_id
    FROM unnest($3::bigint[], $4::integer[], $5::text[]) AS s (token, attempt, provider_id)
    WHERE mailroom_session($1::integer)
),
locked AS MATERIALIZED (
    SELECT d.token, d.action, d.promised_at FROM done JOIN deliveries AS d ON d.token = done.token
    ORDER BY d.token FOR NO KEY UPDATE OF d
),
gone AS (
    DELETE FROM deliveries AS d USING locked WHERE d.token = locked.token
)
INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, transport, provider_id)
SELECT done.token, l.action, l.promised_at, done.attempt, 'sent', $2::text, done.provider_id
FROM done LEFT JOIN locked AS l ON l.token = done.token
WHERE NOT EXISTS (
    -- As text, so that the index on outcomes is no temptation: nearly all of them are this one.
    SELECT FROM delivery_log AS e
    WHERE e.token = done.token AND e.attempt = done.attempt AND e.outcome::text = 'sent'
      AND e.provider_id IS NOT DISTINCT FROM done.provider_id
);
