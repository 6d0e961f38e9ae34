-- Schema: where Mailroom's tables are, as this login finds them, and where they are if it does not.
SELECT
    to_regclass('deliveries') IS NOT NULL AS deliveries,
    to_regclass('accounts') IS NOT NULL AND to_regclass('tokens') IS NOT NULL AS original,
    to_regclass('schema_migrations') IS NOT NULL AS migrations,
    coalesce(has_table_privilege(to_regclass('schema_migrations'), 'SELECT'), false) AS readable,
    (
        SELECT min(c.relnamespace::regnamespace::text) FROM pg_class AS c
        WHERE c.relname = 'deliveries' AND c.relkind IN ('r', 'p')
    ) AS elsewhere;
