-- Actions: every action a delivery can have, also where it has no row in actions.
SELECT a.label::text AS label FROM unnest(enum_range(NULL::token_action)) AS a (label) ORDER BY a.label;
