-- Rules that every object of the extension keeps.

-- Each function and table says what it is.
SELECT p.oid::regprocedure AS function_without_comment FROM pg_proc p
WHERE p.pronamespace = 'holdfast'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.oid::regclass AS relation_without_comment FROM pg_class c
WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'v', 'p') AND obj_description(c.oid, 'pg_class') IS NULL;

-- Nothing is granted to PUBLIC.
SELECT p.oid::regprocedure AS function_open_to_public FROM pg_proc p
WHERE p.pronamespace = 'holdfast'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE');
SELECT c.oid::regclass AS relation_open_to_public FROM pg_class c
WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'v', 'p')
  AND has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE');

-- What runs with its owner's rights, or in PL/pgSQL, looks up names in a pinned search_path.
SELECT p.oid::regprocedure AS function_without_search_path FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'holdfast'::regnamespace AND (p.prosecdef OR l.lanname = 'plpgsql')
  AND NOT coalesce(p.proconfig @> '{"search_path=pg_catalog, pg_temp"}', false);

-- PostgREST calls by name: no overloads; what writes is volatile.
SELECT proname AS overloaded FROM pg_proc WHERE pronamespace = 'holdfast'::regnamespace GROUP BY proname HAVING count(*) > 1;

-- Tenants are apart: every unique key of a table that belongs to tenants holds its organization_id.
SELECT i.indexrelid::regclass AS unique_key_without_organization
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace = 'holdfast'::regnamespace AND i.indisunique
  AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id')
  AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND a.attname = 'organization_id');

-- Every table's rows are in a dump.
SELECT c.oid::regclass AS table_not_dumped FROM pg_class c, pg_extension e
WHERE e.extname = 'holdfast' AND c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT c.oid = ANY (e.extconfig)
  AND EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'); -- others are dumped like any table

-- Counters that change on every call are in no index.
SELECT a.attname AS indexed_counter FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indexrelid
WHERE i.indrelid = 'holdfast.budget_counters'::regclass AND a.attname IN ('spent', 'held', 'overrun', 'limit_usd');
