-- Actions: every kind of token there is, its number on the wire, and the queue of its mail; NULL where
-- actions has no row.
SELECT e.label, a.queue::text AS queue, a.number
FROM unnest(enum_range(NULL::token_action)) WITH ORDINALITY AS k (action, place)
CROSS JOIN LATERAL (SELECT k.action::text AS label) AS e
LEFT JOIN actions AS a ON a.action = k.action
ORDER BY k.place;
