-- Schema version: as the migrator has recorded it. Whoever migrates with psql has no such table.
SELECT version FROM schema_migrations WHERE NOT dirty;
