-- Purge: count what the log says, and forget up to $4 of its rows that are older than they need be.
--
-- $1 our backend, $2 seconds that what is about mail that was sent is kept, $3 likewise the rest.
-- `more` is true when there is more to count or to forget.
WITH counted AS MATERIALIZED (
    SELECT mailroom_count_log() AS more WHERE mailroom_session($1::integer)
),
purged AS MATERIALIZED (
    SELECT mailroom_purge(
        now() - $2::float8 * interval '1 second', now() - $3::float8 * interval '1 second',
        $4::integer
    ) AS rows
    FROM counted
)
SELECT purged.rows, counted.more OR purged.rows = $4::integer AS more FROM counted CROSS JOIN purged;
