-- Settle sent: the provider accepted these, and they are still ours, in the attempt that was accepted.
--
-- $1 our backend, $2 our holder numbers (this session's and former ones), $3 transport, $4 tokens,
-- $5 attempts, $6 provider's ids, in the same order.
-- Durable before it returns how many were recorded; if not all, settle_late records the rest. As it
-- takes each row away with what it logs, none is logged twice.
-- Rows are locked as they are deleted, in the order of their tokens. OFFSET 0 and BETWEEN: ADR 12.
WITH gone AS (
    DELETE FROM deliveries AS d
    USING (
        SELECT s.token, s.attempt, s.provider_id
        FROM unnest($4::bigint[], $5::integer[], $6::text[]) AS s (token, attempt, provider_id)
        WHERE mailroom_session($1::integer)
        ORDER BY s.token
        OFFSET 0
    ) AS s
    WHERE d.token BETWEEN s.token AND s.token
      AND d.state = 'sending' AND d.holder = ANY ($2::integer[]) AND d.attempts = s.attempt
    RETURNING d.token, d.action, d.promised_at, s.attempt, s.provider_id
)
INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, transport, provider_id)
SELECT g.token, g.action, g.promised_at, g.attempt, 'sent', $3::text, g.provider_id
FROM gone AS g;
