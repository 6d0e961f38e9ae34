-- Rates: how many events of each outcome the log has of the last 1, 5 and 15 minutes, by its index.
SELECT
    o.outcome::text AS outcome,
    count(l.at) FILTER (WHERE l.at > now() - interval '1 minute') AS one,
    count(l.at) FILTER (WHERE l.at > now() - interval '5 minutes') AS five,
    count(l.at) AS fifteen
FROM unnest(enum_range(NULL::delivery_outcome)) WITH ORDINALITY AS o (outcome, place)
LEFT JOIN LATERAL (
    SELECT e.at FROM delivery_log AS e
    WHERE e.outcome = o.outcome AND e.at > now() - interval '15 minutes'
) AS l ON true
GROUP BY o.outcome, o.place
ORDER BY o.place;
