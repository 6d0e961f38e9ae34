-- Settle late: the provider accepted these. A fact, so it wins in whatever state the rows are.
--
-- $1 our backend, $2 transport, $3 tokens, $4 attempts, $5 provider's ids, in the same order.
-- For what settle_sent may have left: rows that went to somebody else meanwhile, or are gone, or an
-- answer that was lost.
-- Durable before it returns. Asked again it adds nothing: a second `sent` row means a second mail.
-- However many rows there are, each is looked up once: of the log only what is about these tokens is
-- read (OFFSET 0 and the cast keep the index on outcomes out of it).
WITH done AS MATERIALIZED (
    SELECT s.token, s.attempt, s.provider_id
    FROM unnest($3::bigint[], $4::integer[], $5::text[]) AS s (token, attempt, provider_id)
    WHERE mailroom_session($1::integer)
),
locked AS MATERIALIZED (
    SELECT d.token, d.action, d.promised_at, done.attempt, done.provider_id
    FROM done JOIN deliveries AS d ON d.token BETWEEN done.token AND done.token
    ORDER BY done.token FOR NO KEY UPDATE OF d
),
gone AS (
    DELETE FROM deliveries AS d USING locked WHERE d.token BETWEEN locked.token AND locked.token
)
INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, transport, provider_id)
SELECT s.token, s.action, s.promised_at, s.attempt, 'sent', $2::text, s.provider_id
FROM (
    SELECT l.token, l.action, l.promised_at, l.attempt, l.provider_id FROM locked AS l
    UNION ALL
    SELECT done.token, NULL, NULL, done.attempt, done.provider_id FROM done
    WHERE done.token NOT IN (SELECT l.token FROM locked AS l)
) AS s
WHERE NOT EXISTS (
    SELECT FROM delivery_log AS e
    WHERE e.token = s.token AND e.attempt = s.attempt AND e.outcome::text = 'sent'
      AND e.provider_id IS NOT DISTINCT FROM s.provider_id
    OFFSET 0
);
