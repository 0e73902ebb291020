-- Whose rows a caller sees.

CREATE FUNCTION current_organization() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN c.claim ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN c.claim::pg_catalog.uuid END
    FROM (SELECT nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb
                 ->> 'organization_id' AS claim) c
$$;
COMMENT ON FUNCTION current_organization() IS
'The organization that PostgREST''s request.jwt.claims name, NULL when they name none.';

CREATE FUNCTION sees_every_organization() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT holdfast.current_organization() IS NULL AND pg_catalog.has_function_privilege(
        current_user, 'holdfast.check_invariants(boolean)', 'EXECUTE')
$$;
COMMENT ON FUNCTION sees_every_organization() IS
'True for the owner and for roles with the profile operator, unless their claims name one organization.';

CREATE FUNCTION keep_tenants_apart(p_table regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
    EXECUTE format('CREATE POLICY tenant ON %s USING (organization_id = (SELECT holdfast.current_organization())'
                   ' OR (SELECT holdfast.sees_every_organization()))', p_table);
END $$;
COMMENT ON FUNCTION keep_tenants_apart(regclass) IS
'Makes a table with an organization_id show each role its organization''s rows.';
