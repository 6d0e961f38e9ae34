-- Triggers: which of these there are, when they fire, and what they run.
--
-- $1 their names.
SELECT t.tgname::text AS name, c.relname::text AS table, t.tgtype::integer AS moment,
    t.tgenabled::text AS enabled, p.proname::text AS function
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE t.tgrelid IN (to_regclass('accounts'), to_regclass('tokens'))
  AND NOT t.tgisinternal AND t.tgname = ANY ($1::text[]);
