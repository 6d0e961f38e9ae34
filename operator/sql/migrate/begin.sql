-- Says where migrations go, the schema that new tables land in (NULL: none), and what is there.
SELECT
    current_schema()::text AS schema,
    current_database()::text AS database,
    quote_ident(current_schema()) || '.schema_migrations' AS record,
    to_regclass(quote_ident(current_schema()) || '.schema_migrations') IS NOT NULL AS is_recorded,
    to_regclass(quote_ident(current_schema()) || '.accounts') IS NOT NULL AS has_accounts
