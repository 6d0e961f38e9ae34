-- Definers: what runs with its owner's rights, whether it does, and whether those are enough and not
-- too many. `hidden`: tables whose policies would hide rows from the owner.
--
-- $1 their names.
SELECT p.proname::text AS name, o.rolname::text AS owner, o.rolsuper AS superuser,
    p.prosecdef AND coalesce(array_to_string(p.proconfig, ',') LIKE '%search_path=%', false)
        AS definer,
    has_table_privilege(o.oid, 'deliveries', 'INSERT')
        AND has_table_privilege(o.oid, 'actions', 'SELECT')
        AND has_table_privilege(o.oid, 'deliveries', 'SELECT')
        AND has_table_privilege(o.oid, 'delivery_log', 'SELECT')
        AND has_table_privilege(o.oid, 'delivery_log', 'DELETE')
        AND has_table_privilege(o.oid, 'delivery_totals', 'INSERT')
        AND has_table_privilege(o.oid, 'delivery_totals', 'SELECT')
        AND has_table_privilege(o.oid, 'delivery_totals', 'UPDATE')
        AND has_table_privilege(o.oid, 'delivery_totals_until', 'SELECT')
        AND has_table_privilege(o.oid, 'delivery_totals_until', 'UPDATE')
        AND has_column_privilege(o.oid, 'accounts', 'id', 'SELECT')
        AND has_column_privilege(o.oid, 'accounts', 'status', 'SELECT')
        AND has_any_column_privilege(o.oid, 'accounts', 'UPDATE')
        AND has_column_privilege(o.oid, 'tokens', 'account', 'SELECT')
        AND has_column_privilege(o.oid, 'tokens', 'expires_at', 'SELECT') AS able,
    ARRAY(
        SELECT c.relname::text FROM pg_class AS c
        WHERE c.oid IN (
            to_regclass('accounts'), to_regclass('tokens'), to_regclass('actions'),
            to_regclass('deliveries'), to_regclass('delivery_log'),
            to_regclass('delivery_totals'), to_regclass('delivery_totals_until')
        )
          AND c.relrowsecurity AND NOT o.rolsuper AND NOT o.rolbypassrls
          AND (c.relforcerowsecurity OR NOT pg_has_role(o.oid, c.relowner, 'USAGE'))
        ORDER BY 1
    ) AS hidden
FROM pg_proc AS p JOIN pg_roles AS o ON o.oid = p.proowner
WHERE p.proname::text = ANY ($1::text[])
  AND p.pronamespace = (SELECT c.relnamespace FROM pg_class AS c WHERE c.oid = to_regclass('deliveries'))
ORDER BY 1;
