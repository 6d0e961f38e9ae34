-- Settle the rest: what the provider did not accept is pending again at a later time, or has failed.
--
-- $1 our backend, $2 our holder numbers (this session's and former ones), $3 transport, $4 tokens,
-- and in the same order $5 outcomes, $6 details, $7 seconds until the next attempt (NULL: none,
-- it is settled), $8 whether this attempt counts.
-- Only rows that we are still sending change. A deleted account does not spoil the others.
WITH results AS MATERIALIZED (
    SELECT r.* FROM unnest(
        $4::bigint[], $5::text[], $6::text[], $7::float8[], $8::boolean[]
    ) AS r (token, outcome, detail, again_in, counted)
    WHERE mailroom_session($1::integer)
),
mine AS MATERIALIZED (
    SELECT d.token, d.action, d.promised_at, d.attempts, r.outcome, r.detail, r.again_in, r.counted
    FROM results AS r JOIN deliveries AS d ON d.token BETWEEN r.token AND r.token
    WHERE d.state = 'sending' AND d.holder = ANY ($2::integer[])
    ORDER BY r.token FOR NO KEY UPDATE OF d
),
again AS (
    UPDATE deliveries AS d
    SET state = 'pending', holder = NULL, dispatched_at = NULL,
        due_at = now() + mine.again_in * interval '1 second',
        attempts = d.attempts - (NOT mine.counted)::integer,
        ambiguities = d.ambiguities + (mine.outcome = 'ambiguous')::integer
    FROM mine WHERE d.token BETWEEN mine.token AND mine.token AND mine.again_in IS NOT NULL
    RETURNING d.queue
),
gone AS (
    DELETE FROM deliveries AS d USING mine
    WHERE d.token BETWEEN mine.token AND mine.token AND mine.again_in IS NULL
),
logged AS (
    INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, transport, detail)
    SELECT mine.token, mine.action, mine.promised_at, mine.attempts, mine.outcome::delivery_outcome, $3::text, mine.detail
    FROM mine
)
SELECT (SELECT count(*) FROM mine) AS settled, (
    SELECT count(mailroom_wake(q.queue)::text) FROM (SELECT DISTINCT again.queue FROM again) AS q
) AS woken;
