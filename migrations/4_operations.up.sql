-- Day after day: links that are used up, totals that outlive the log, and a log that does not grow.
BEGIN;

-- Links --------------------------------------------------------------------------------------------

-- Uses a token up, once, or tells why not. The caller has verified the signature: of the 64 bytes of
-- the link's token the first 32 are the secret.
--
-- `refusal` is NULL when it was used up just now. Else, and then nothing has changed:
--   unknown      there is no such token, or it is for another action
--   used         it was used up before
--   expired
--   ineligible   the account's status is none that this action is for: it is suspended, say
CREATE FUNCTION consume_token(secret bytea, action token_action)
    RETURNS TABLE (account bigint, data jsonb, refusal text) LANGUAGE plpgsql AS $$
DECLARE
    at CONSTANT bigint := extract(epoch FROM clock_timestamp());
    token tokens;
    status account_status;
BEGIN
    -- The account first, the order in which a deletion takes them. Whoever comes second waits here for
    -- the first, and then sees what it has done.
    SELECT a.status INTO status FROM accounts AS a
    WHERE a.id = (
        SELECT t.account FROM tokens AS t
        WHERE t.secret = consume_token.secret AND t.action = consume_token.action
    )
    FOR NO KEY UPDATE;
    SELECT t.* INTO token FROM tokens AS t
    WHERE t.secret = consume_token.secret AND t.action = consume_token.action
    FOR NO KEY UPDATE;

    refusal := CASE
        WHEN token.id IS NULL THEN 'unknown'
        WHEN token.consumed_at IS NOT NULL THEN 'used'
        WHEN token.expires_at <= at THEN 'expired'
        WHEN NOT EXISTS (
            SELECT FROM actions AS k WHERE k.action = token.action AND status = ANY (k.statuses)
        ) THEN 'ineligible'
    END;
    IF refusal IS NULL THEN
        UPDATE tokens AS t SET consumed_at = at WHERE t.id = token.id;
        account := token.account;
        data := token.data;
    END IF;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION consume_token IS 'Uses a token up, once, or tells why not: unknown, used, expired, ineligible';

-- Totals -------------------------------------------------------------------------------------------

-- How many mails there ever were, for graphs: the log forgets, this does not.
CREATE TABLE delivery_totals (
    action  text             NOT NULL,
    outcome delivery_outcome NOT NULL,
    bucket  smallint         NOT NULL,
    count   bigint           NOT NULL,
    seconds double precision NOT NULL,
    PRIMARY KEY (action, outcome, bucket)
);

COMMENT ON TABLE delivery_totals IS 'What of delivery_log has been counted, by outcome and, if sent, by the time it took';
COMMENT ON COLUMN delivery_totals.action IS '''unknown'' where the log does not say';
COMMENT ON COLUMN delivery_totals.bucket IS 'From 0: the first of mailroom_latency_bounds() that it is not above';
COMMENT ON COLUMN delivery_totals.seconds IS 'From the promise to the acceptance, added up';

CREATE TABLE delivery_totals_until (
    counted_until timestamptz NOT NULL,
    one           boolean     PRIMARY KEY DEFAULT true,
    CONSTRAINT there_is_one_row CHECK (one)
);

COMMENT ON TABLE delivery_totals_until IS 'The rows of delivery_log before this time are in delivery_totals';

INSERT INTO delivery_totals_until VALUES ('-infinity');

CREATE FUNCTION mailroom_latency_bounds() RETURNS double precision[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}'::double precision[]
$$;

-- What the log says of a stretch of time, added up. Each outcome is a range of the index.
CREATE FUNCTION mailroom_count(since timestamptz, until timestamptz)
    RETURNS TABLE (
        action text, outcome delivery_outcome, bucket integer, count bigint, seconds double precision
    )
    LANGUAGE sql STABLE AS $$
    SELECT r.action, r.outcome, r.bucket, count(*), sum(r.seconds)
    FROM (
        SELECT
            l.action, l.outcome,
            CASE l.outcome WHEN 'sent' THEN (
                SELECT count(*)::integer FROM unnest(mailroom_latency_bounds()) AS b (bound)
                WHERE b.bound < l.seconds
            ) ELSE 0 END AS bucket,
            CASE l.outcome WHEN 'sent' THEN l.seconds ELSE 0 END AS seconds
        FROM unnest(enum_range(NULL::delivery_outcome)) AS o (outcome)
        CROSS JOIN LATERAL (
            SELECT
                coalesce(e.action::text, 'unknown') AS action, e.outcome,
                greatest(extract(epoch FROM e.at - coalesce(
                    e.promised_at,
                    -- In whole seconds, and in what the application writes there.
                    (
                        SELECT to_timestamp(least(t.created_at, extract(epoch FROM e.at)))
                        FROM tokens AS t WHERE t.id = e.token AND t.created_at >= 0
                    ),
                    e.at
                )), 0)::double precision AS seconds
            FROM delivery_log AS e
            WHERE e.outcome = o.outcome AND e.at >= since AND e.at < until
        ) AS l
    ) AS r
    GROUP BY r.action, r.outcome, r.bucket
$$;

-- Counts some thousands of rows of the log, or none: what is younger than two minutes may not all be
-- there yet, since a row is dated before it is committed. True: there is more to count.
--
-- Never past the newest row, so that a clock that was ahead for a while does no harm unless something
-- was logged meanwhile; then what is logged until it is caught up with is not counted.
CREATE FUNCTION mailroom_count_log() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    rows_max CONSTANT integer := 5000;
    moment CONSTANT interval := interval '1 microsecond';
    settled CONSTANT timestamptz := now() - interval '2 minutes';
    since timestamptz;
    until timestamptz;
BEGIN
    SELECT u.counted_until INTO since FROM delivery_totals_until AS u FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- Up to where one of the outcomes has that many rows, else to the newest of all.
    SELECT coalesce(min(f.full_at), max(f.newest) + moment) INTO until
    FROM unnest(enum_range(NULL::delivery_outcome)) AS o (outcome)
    CROSS JOIN LATERAL (
        SELECT (
            SELECT l.at FROM delivery_log AS l
            WHERE l.outcome = o.outcome AND l.at >= since ORDER BY l.at OFFSET rows_max LIMIT 1
        ) AS full_at, (
            SELECT l.at FROM delivery_log AS l
            WHERE l.outcome = o.outcome AND l.at >= since ORDER BY l.at DESC LIMIT 1
        ) AS newest
    ) AS f;
    IF since >= settled OR until IS NULL THEN
        RETURN false;
    END IF;
    -- Rows of one moment are counted together.
    until := least(greatest(until, since + moment), settled);
    INSERT INTO delivery_totals AS t (action, outcome, bucket, count, seconds)
    SELECT c.action, c.outcome, c.bucket, c.count, c.seconds FROM mailroom_count(since, until) AS c
    ON CONFLICT (action, outcome, bucket) DO UPDATE
        SET count = t.count + excluded.count, seconds = t.seconds + excluded.seconds;
    UPDATE delivery_totals_until SET counted_until = until;
    RETURN EXISTS (
        SELECT FROM unnest(enum_range(NULL::delivery_outcome)) AS o (outcome)
        CROSS JOIN LATERAL (
            SELECT FROM delivery_log AS l
            WHERE l.outcome = o.outcome AND l.at >= until AND l.at < settled LIMIT 1
        ) AS more
    );
END
$$;

-- Everything that ever happened, counted; at no time less than before.
CREATE FUNCTION mailroom_totals()
    RETURNS TABLE (
        action text, outcome text, bucket integer, count bigint, seconds double precision
    )
    LANGUAGE sql STABLE AS $$
    SELECT r.action, r.outcome::text, r.bucket::integer, sum(r.count)::bigint, sum(r.seconds)
    FROM (
        SELECT t.action, t.outcome, t.bucket, t.count, t.seconds FROM delivery_totals AS t
        UNION ALL
        SELECT c.action, c.outcome, c.bucket, c.count, c.seconds
        FROM delivery_totals_until AS u CROSS JOIN LATERAL mailroom_count(u.counted_until, 'infinity') AS c
    ) AS r
    GROUP BY r.action, r.outcome, r.bucket
$$;

-- Retention ----------------------------------------------------------------------------------------

-- Takes out of the log, oldest first and at most `rows_max`: what is about mail that was sent, and
-- attempts at it, from before `sent_before`; and what else became of mail from before `others_before`.
-- Returns how many; 0: there is no more. What stays, however old:
--   what is not counted yet, or younger than an hour: a sender may yet compare with it
--   what is about outstanding mail, or about a token that lives: it may be mailed again, or not, for it
--   that a mail was sent, while something else that became of it stays: else it would look undone
-- Rows that somebody holds are passed over: nobody waits for a purge, and it waits for nobody.
CREATE FUNCTION mailroom_purge(
    sent_before timestamptz, others_before timestamptz, rows_max integer
) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    latest CONSTANT timestamptz := least(
        (SELECT u.counted_until FROM delivery_totals_until AS u), now() - interval '1 hour'
    );
    purged integer;
BEGIN
    DELETE FROM delivery_log WHERE ctid = ANY (ARRAY(
        SELECT r.ctid FROM unnest(enum_range(NULL::delivery_outcome)) AS o (outcome)
        CROSS JOIN LATERAL (
            SELECT l.ctid FROM delivery_log AS l
            WHERE l.outcome = o.outcome
              AND l.at < least(latest, CASE
                  WHEN o.outcome IN ('skipped', 'failed', 'unconfirmed') THEN others_before
                  ELSE sent_before
              END)
              AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.token = l.token)
              AND NOT EXISTS (
                  SELECT FROM tokens AS t
                  WHERE t.id = l.token AND t.consumed_at IS NULL
                    AND t.expires_at > extract(epoch FROM now())
              )
              AND (o.outcome <> 'sent' OR NOT EXISTS (
                  SELECT FROM delivery_log AS e
                  WHERE e.token = l.token AND e.outcome::text IN ('skipped', 'failed', 'unconfirmed')
                  OFFSET 0
              ))
            ORDER BY l.at LIMIT rows_max
            FOR UPDATE OF l SKIP LOCKED
        ) AS r
        LIMIT rows_max
    ));
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
END
$$;

-- What runs with its owner's rights finds its tables nowhere but here, and is nobody's to call but
-- those who are given it.
DO $$
DECLARE
    definer regprocedure;
BEGIN
    FOREACH definer IN ARRAY ARRAY[
        'mailroom_count_log()', 'mailroom_purge(timestamptz, timestamptz, integer)'
    ]::regprocedure[] LOOP
        EXECUTE pg_catalog.format(
            'ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', definer, current_schema()
        );
        EXECUTE pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', definer);
    END LOOP;
END
$$;

COMMIT;
