-- States: which of these tokens have a delivery, and in what state it is. $1 tokens.
SELECT i.token, d.state::text AS state
FROM unnest($1::bigint[]) AS i (token) LEFT JOIN deliveries AS d ON d.token = i.token
ORDER BY i.token;
