-- Everything that the catalog knows about the extension, one line a fact, without oids: two installations are equal when
-- these lines are. Run with psql -At.
SET search_path = pg_catalog;
CREATE TEMP VIEW members AS
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'holdfast';
CREATE TEMP VIEW relations AS
    SELECT c.* FROM pg_class c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid;
CREATE FUNCTION pg_temp.acl(aclitem[]) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(a::text, ' ' ORDER BY a::text), 'default') FROM unnest($1) a
$$;
CREATE FUNCTION pg_temp.one_line(text) RETURNS text LANGUAGE sql AS $$ SELECT replace($1, E'\n', '\n') $$;

SELECT line FROM (
    SELECT 'member ' || pg_describe_object(classid, objid, 0) FROM members
    UNION ALL
    SELECT format('relation %s kind %s persistence %s options %s rls %s forced %s acl %s', c.oid::regclass, c.relkind,
        c.relpersistence, coalesce(c.reloptions::text, '{}'), c.relrowsecurity, c.relforcerowsecurity, pg_temp.acl(c.relacl))
    FROM relations c
    UNION ALL
    SELECT format('column %s %s %s %s%s default %s identity "%s" generated "%s" collation %s storage %s acl %s', c.oid::regclass,
        row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN ' not null' ELSE '' END, coalesce(pg_get_expr(d.adbin, d.adrelid), 'none'),
        a.attidentity, a.attgenerated, a.attcollation, a.attstorage, pg_temp.acl(a.attacl))
    FROM relations c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind IN ('r', 'p', 'v', 'm')
    UNION ALL
    SELECT format('constraint %s %s %s validated %s', n.conrelid::regclass, n.conname, pg_get_constraintdef(n.oid), n.convalidated)
    FROM pg_constraint n JOIN relations c ON c.oid = n.conrelid
    UNION ALL
    SELECT format('index %s valid %s unique %s', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisunique)
    FROM pg_index i JOIN relations c ON c.oid = i.indrelid
    UNION ALL
    SELECT format('trigger %s enabled %s', pg_get_triggerdef(t.oid), t.tgenabled)
    FROM pg_trigger t JOIN relations c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT format('policy %s %s %s %s roles %s using %s check %s', p.polrelid::regclass, p.polname, p.polcmd, p.polpermissive,
        p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM pg_policy p JOIN relations c ON c.oid = p.polrelid
    UNION ALL
    SELECT format('view %s %s', c.oid::regclass, pg_temp.one_line(pg_get_viewdef(c.oid))) FROM relations c WHERE c.relkind IN ('v', 'm')
    UNION ALL
    SELECT format('rule %s', pg_temp.one_line(pg_get_ruledef(r.oid))) FROM pg_rewrite r JOIN relations c ON c.oid = r.ev_class
    UNION ALL
    SELECT format('sequence %s start %s increment %s max %s min %s cache %s cycle %s owner %s', c.oid::regclass, s.seqstart,
        s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle,
        (SELECT pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) FROM pg_depend d
         WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')))
    FROM relations c JOIN pg_sequence s ON s.seqrelid = c.oid
    UNION ALL
    SELECT format('function %s owner %s acl %s', pg_temp.one_line(pg_get_functiondef(p.oid)), p.proowner::regrole, pg_temp.acl(p.proacl))
    FROM pg_proc p JOIN members m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.prokind IN ('f', 'p')
    UNION ALL
    SELECT format('enum %s %s %s', e.enumtypid::regtype, row_number() OVER (PARTITION BY e.enumtypid ORDER BY e.enumsortorder), e.enumlabel)
    FROM pg_enum e JOIN members m ON m.classid = 'pg_type'::regclass AND m.objid = e.enumtypid
    UNION ALL
    SELECT format('type %s kind %s acl %s', t.oid::regtype, t.typtype, pg_temp.acl(t.typacl))
    FROM pg_type t JOIN members m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
    UNION ALL
    SELECT format('comment on %s: %s', pg_describe_object(d.classoid, d.objoid, d.objsubid), pg_temp.one_line(d.description))
    FROM pg_description d JOIN members m ON m.classid = d.classoid AND m.objid = d.objoid
    UNION ALL
    SELECT format('first rights of %s: %s', pg_describe_object(i.classoid, i.objoid, i.objsubid), pg_temp.acl(i.initprivs))
    FROM pg_init_privs i JOIN members m ON m.classid = i.classoid AND m.objid = i.objoid
    UNION ALL
    SELECT format('dumped %s where %s', u.relation::regclass, u.condition)
    FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS u(relation, condition) WHERE e.extname = 'holdfast'
    UNION ALL
    SELECT format('schema %s acl %s', nspname, pg_temp.acl(nspacl)) FROM pg_namespace WHERE nspname = 'holdfast'
) facts(line) ORDER BY line COLLATE "C";
