-- Accounts: what a person who was asked about them needs to see. $1 ids.
SELECT a.id AS account, a.email, a.login, a.status::text AS status, a.created_at
FROM unnest($1::bigint[]) WITH ORDINALITY AS i (id, place)
JOIN accounts AS a ON a.id = i.id
ORDER BY i.place;
