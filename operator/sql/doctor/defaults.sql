-- Defaults: settings of this database, or of roles in it, that change what triggers do.
SELECT coalesce(r.rolname::text, 'every role') AS role,
    split_part(c.setting, '=', 1) AS name, split_part(c.setting, '=', 2) AS value
FROM pg_db_role_setting AS s
CROSS JOIN LATERAL unnest(s.setconfig) AS c (setting)
LEFT JOIN pg_roles AS r ON r.oid = s.setrole
WHERE s.setdatabase IN (
    0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
)
  AND split_part(c.setting, '=', 1) IN ('mailroom.notify', 'session_replication_role')
ORDER BY 1, 2;
