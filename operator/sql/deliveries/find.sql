-- Find: the tokens that somebody means by an id, an address or a login, newest first.
--
-- $1 an id (NULL: it cannot be one), $2 an address or a login (NULL: it cannot be one), $3 tokens of
-- one account at most. `by_id` where the id found it, also when the token was deleted and only its
-- delivery or its log is left. An account without tokens is one row with `token` NULL; `more` says how
-- many older ones there are.
WITH named AS MATERIALIZED (
    SELECT a.id FROM accounts AS a WHERE a.email = $2::text
    UNION
    SELECT a.id FROM accounts AS a WHERE a.login = $2::text
),
-- Sorted after they are found: the way by the primary key leads through everybody's tokens.
owned AS MATERIALIZED (
    SELECT n.id AS account, t.id AS token, t.action::text AS action
    FROM named AS n LEFT JOIN tokens AS t ON t.account = n.id
),
ranked AS MATERIALIZED (
    SELECT
        o.*,
        row_number() OVER (PARTITION BY o.account ORDER BY o.token DESC) AS place,
        count(*) OVER (PARTITION BY o.account) AS tokens
    FROM owned AS o
)
SELECT r.account, r.token, r.action, false AS by_id, greatest(r.tokens - $3::bigint, 0) AS more
FROM ranked AS r WHERE r.place <= $3::bigint
UNION ALL
SELECT t.account, i.id, t.action::text, true, 0
FROM (SELECT $1::bigint AS id) AS i LEFT JOIN tokens AS t ON t.id = i.id
WHERE i.id IS NOT NULL AND (
    t.id IS NOT NULL
    OR EXISTS (SELECT FROM deliveries AS d WHERE d.token = i.id)
    OR EXISTS (SELECT FROM delivery_log AS l WHERE l.token = i.id)
)
ORDER BY by_id DESC, account, token DESC;
