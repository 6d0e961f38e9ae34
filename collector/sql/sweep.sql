-- Sweep: what a holder that is gone has held, and what was lost on the way, is pending again.
--
-- $1 our backend, $2 our holder number, $3 queue, $4 seconds of grace for what was being sent, $5 what
-- makes a commit durable.
--   dispatched, its collector gone: at once
--   dispatched, not begun for 60 s (doubling each time), while a sender lives: lost on the way
--   sending, its sender gone for the grace: may have been sent, and is counted as ambiguous
--   the token has expired, and it was sending, or no sender lives that could tell: unconfirmed
--   the token had expired when it was claimed, and no sender lives: no line was written, so it is skip's
--       business for 60 s, and then pending again
--
-- First the numbers that are gone: known before this statement began, and not locked by anyone now,
-- so their sessions have ended, for ever. Then their rows, by those numbers. "Not held by the living"
-- would be wrong: a row that changes hands while we wait for it would be taken from its new, living holder.
-- Returns counts, and in how many seconds a row now within its grace can be released.
WITH alive AS MATERIALIZED (
    -- Anybody may take a lock; only the role that registered can hold its holder's.
    SELECT h.number, h.kind FROM pg_locks AS l
    JOIN pg_stat_activity AS s ON s.pid = l.pid
    JOIN holders AS h ON h.number = l.objid::bigint AND h.role = s.usesysid
    WHERE mailroom_session($1::integer)
      AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
      AND l.classid::bigint = mailroom_holder_class()
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
),
gone AS MATERIALIZED (
    SELECT h.number,
        -- While PostgreSQL was down nobody could come back, so the grace starts over.
        CASE WHEN h.missing_since IS NOT NULL
            THEN greatest(h.missing_since, pg_postmaster_start_time())
        END AS missing_since
    FROM holders AS h
    WHERE h.number <> $2::integer AND h.number NOT IN (SELECT alive.number FROM alive)
),
noted AS (
    UPDATE holders AS h SET missing_since = now()
    FROM gone WHERE h.number = gone.number AND gone.missing_since IS NULL
),
senders AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM alive WHERE alive.kind = 'sender') AS live
),
held AS MATERIALIZED (
    SELECT d.token, d.state, t.id IS NULL AS deleted,
        t.id IS NULL OR t.expires_at <= extract(epoch FROM now()) AS expired,
        (t.expires_at <= floor(extract(epoch FROM d.dispatched_at))) IS true AS unwritten,
        gone.missing_since, gone.number IS NOT NULL AS abandoned
    FROM deliveries AS d
    LEFT JOIN gone ON gone.number = d.holder
    LEFT JOIN tokens AS t ON t.id = d.token
    WHERE d.queue = $3::text::job_type AND d.state <> 'pending'
),
taken AS MATERIALIZED (
    SELECT d.token, d.action, d.promised_at, d.state, d.attempts, h.deleted,
        h.expired AND (d.state = 'sending' OR NOT (s.live OR h.unwritten)) AS over,
        d.state = 'dispatched' AND NOT h.abandoned AND s.live AS lost
    FROM held AS h CROSS JOIN senders AS s
    JOIN deliveries AS d ON d.token = h.token
    LEFT JOIN gone ON gone.number = d.holder
    WHERE (d.state = 'dispatched' AND (
            gone.number IS NOT NULL
            -- A living collector is given the time to skip what it may not hand over.
            OR (h.expired AND NOT s.live AND d.dispatched_at < now() - interval '60 seconds')
            OR (s.live AND d.dispatched_at
                < now() - interval '60 seconds' * power(2, least(d.dispatches, 12) - 1))
        )) OR (d.state = 'sending' AND gone.missing_since <= now() - $4::float8 * interval '1 second')
    ORDER BY d.token FOR NO KEY UPDATE OF d SKIP LOCKED
),
released AS (
    UPDATE deliveries AS d
    SET state = 'pending', holder = NULL, dispatched_at = NULL,
        ambiguities = d.ambiguities + (taken.state = 'sending')::integer
    FROM taken WHERE d.token = taken.token AND NOT taken.over
    RETURNING d.queue
),
unconfirmed AS (
    DELETE FROM deliveries AS d USING taken
    WHERE d.token = taken.token AND taken.over
),
logged AS (
    INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, detail)
    SELECT taken.token, taken.action, taken.promised_at, taken.attempts, 'unconfirmed'::delivery_outcome,
        CASE taken.state
            WHEN 'sending' THEN 'the sender ended during the call'
            ELSE 'handed over and never acknowledged'
        END || CASE
            WHEN taken.deleted THEN ', and the token was deleted'
            ELSE ', and the token has expired'
        END
    FROM taken WHERE taken.over
    UNION ALL
    SELECT taken.token, taken.action, taken.promised_at, taken.attempts, 'ambiguous',
        'the sender ended during the call'
    FROM taken WHERE taken.state = 'sending' AND NOT taken.over
    UNION ALL
    SELECT taken.token, taken.action, taken.promised_at, taken.attempts, 'deferred',
        'lost between the collector and the sender'
    FROM taken WHERE taken.lost
)
SELECT
    (SELECT count(*) FROM released) AS released,
    (SELECT count(*) FROM taken WHERE taken.lost) AS lost,
    (SELECT count(*) FROM taken WHERE taken.state = 'sending' AND NOT taken.over) AS ambiguous,
    (SELECT count(*) FROM taken WHERE taken.over) AS unconfirmed,
    (SELECT count(*) FROM held) - (SELECT count(*) FROM taken) AS held,
    (
        SELECT extract(epoch FROM
            min(coalesce(held.missing_since, now())) + $4::float8 * interval '1 second' - now())::float8
        FROM held WHERE held.state = 'sending' AND held.abandoned
          AND coalesce(held.missing_since, now()) > now() - $4::float8 * interval '1 second'
    ) AS grace_ends_in,
    (
        SELECT count(mailroom_wake(q.queue)::text) FROM (SELECT DISTINCT queue FROM released) AS q
    ) AS woken,
    -- What is logged is on disk before the row can be claimed again: a repeat has its reason there.
    (
        SELECT set_config('synchronous_commit', $5::text, true) FROM taken
        WHERE taken.over OR taken.state = 'sending' OR taken.lost LIMIT 1
    ) AS durability;
