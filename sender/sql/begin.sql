-- Begin: of the mails of one call, those that may be sent now, exactly once.
--
-- $1 our backend, $2 our holder number, $3 action number, $4 secrets, $5 addresses in the same order,
-- $6 seconds a token must still live, $7 ambiguous attempts that are enough.
-- Returns `place` (from 1, in $4), token, attempts (this one included) and ambiguities of each row
-- that is now ours, and what its template may want to know: the action's label, the account's locale,
-- what the token carries and when it expires, texts in UTF-8. Only what is returned is sent; refuse deals
-- with the rest.
-- A line fed twice finds its rows begun or gone, and gets nothing.
-- A locked row is waited for: another collector's claim may hold it for a moment, only to find that it
-- is dispatched already, and what is left out here is not seen again for a minute.
-- Crash before the commit: nothing happened. After it: we hold the rows until our session ends.
--
-- Rows are locked as they are changed, in the order of their tokens. OFFSET 0 and BETWEEN: ADR 12.
WITH me AS MATERIALIZED (
    SELECT
        floor(extract(epoch FROM now()))::bigint + $6::bigint AS second,
        getdatabaseencoding() = 'UTF8' AS is_utf8
    WHERE mailroom_session($1::integer)
      AND set_config('synchronous_commit', 'off', true) IS NOT NULL
)
UPDATE deliveries AS d
SET state = 'sending', holder = $2::integer, attempts = d.attempts + 1, dispatches = 0
FROM (
    SELECT
        asked.place, t.id AS token, k.label, t.expires_at,
        CASE WHEN me.is_utf8 THEN convert_to(a.locale, 'UTF8') ELSE mailroom_utf8(a.locale) END AS locale,
        CASE WHEN me.is_utf8 THEN convert_to(t.data, 'UTF8') ELSE mailroom_utf8(t.data) END AS data
    FROM me CROSS JOIN
        unnest($4::bytea[], $5::text[]) WITH ORDINALITY AS asked (secret, email, place)
    CROSS JOIN LATERAL (
        SELECT t.id, t.account, t.action, t.data::text AS data, t.expires_at FROM tokens AS t
        WHERE t.secret = asked.secret AND t.consumed_at IS NULL AND t.expires_at > me.second
        OFFSET 0
    ) AS t
    CROSS JOIN LATERAL (
        SELECT a.locale, a.status FROM accounts AS a
        WHERE a.id = t.account AND a.email = asked.email
        OFFSET 0
    ) AS a
    CROSS JOIN LATERAL (
        SELECT k.action::text AS label FROM actions AS k
        WHERE k.action = t.action AND k.number = $3::smallint AND a.status = ANY (k.statuses)
        OFFSET 0
    ) AS k
    ORDER BY t.id, asked.place
    OFFSET 0
) AS f
WHERE d.token BETWEEN f.token AND f.token
  AND (d.state = 'dispatched' OR (d.state = 'pending' AND d.due_at <= now()))
  AND d.ambiguities < $7::integer
RETURNING
    f.place, d.token, d.attempts, d.ambiguities::integer AS ambiguities,
    f.label, f.locale, f.data, f.expires_at;
