-- Find: the tokens that somebody means by an id, an address or a login, newest first.
--
-- $1 an id, $2 an address, $3 a login (NULL: it cannot be one), $4 tokens of one account at most. An
-- address, and a login, is looked for as it is written, and where there is none, in lower case: neither
-- hides the other. `kind` says what found it: token, also when it was deleted and only its delivery or
-- its log is left; address; login, where it is not the account's address, too. An account without tokens
-- is one row with `token` NULL; `more` says how many older ones there are.
WITH addressed AS MATERIALIZED (
    SELECT a.id FROM accounts AS a WHERE a.email = $2::text
    UNION ALL
    SELECT a.id FROM accounts AS a
    WHERE a.email = lower($2::text)
      AND NOT EXISTS (SELECT FROM accounts AS e WHERE e.email = $2::text)
),
called AS MATERIALIZED (
    SELECT a.id FROM accounts AS a WHERE a.login = $3::text
    UNION ALL
    SELECT a.id FROM accounts AS a
    WHERE a.login = lower($3::text)
      AND NOT EXISTS (SELECT FROM accounts AS e WHERE e.login = $3::text)
),
named AS MATERIALIZED (
    SELECT d.id, 'address' AS kind FROM addressed AS d
    UNION ALL
    SELECT c.id, 'login' FROM called AS c
    WHERE NOT EXISTS (SELECT FROM addressed AS d WHERE d.id = c.id)
),
-- Sorted after they are found: the way by the primary key leads through everybody's tokens.
owned AS MATERIALIZED (
    SELECT n.kind, n.id AS account, t.id AS token, t.action::text AS action
    FROM named AS n LEFT JOIN tokens AS t ON t.account = n.id
),
ranked AS MATERIALIZED (
    SELECT
        o.*,
        row_number() OVER (PARTITION BY o.account ORDER BY o.token DESC) AS place,
        count(*) OVER (PARTITION BY o.account) AS tokens
    FROM owned AS o
)
SELECT r.account, r.token, r.action, r.kind, greatest(r.tokens - $4::bigint, 0) AS more
FROM ranked AS r WHERE r.place <= $4::bigint
UNION ALL
SELECT t.account, i.id, t.action::text, 'token', 0
FROM (SELECT $1::bigint AS id) AS i LEFT JOIN tokens AS t ON t.id = i.id
WHERE i.id IS NOT NULL AND (
    t.id IS NOT NULL
    OR EXISTS (SELECT FROM deliveries AS d WHERE d.token = i.id)
    OR EXISTS (SELECT FROM delivery_log AS l WHERE l.token = i.id)
)
ORDER BY account, token DESC;
