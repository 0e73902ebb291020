-- Sealing: what was altered, removed or slipped in afterwards is named.
\set VERBOSITY terse
\set org '\'5ea10000-0000-0000-0000-000000000001\''
-- Everything up to a seq is sealed as soon as no other transaction is left that could still add to it.
CREATE FUNCTION pg_temp.sealed_up_to(p_seq bigint) RETURNS boolean LANGUAGE sql AS $$
    SELECT coalesce(max(to_seq) >= p_seq, false) FROM holdfast.ledger_seals
$$;
CREATE PROCEDURE pg_temp.seal_all(p_most integer) LANGUAGE plpgsql AS $$
DECLARE
    last_seq bigint := (SELECT max(seq) FROM holdfast.ai_usage_ledger);
BEGIN
    WHILE NOT pg_temp.sealed_up_to(last_seq) LOOP
        PERFORM holdfast.seal_ledger(p_most);
        COMMIT;
    END LOOP;
END $$;
SELECT holdfast.create_workflow(:org, p_cost_limit => 1000) AS workflow \gset
SELECT count(*) FROM generate_series(1, 20) n,
    LATERAL holdfast.record_usage_and_increment(:'workflow', :org, 'm', n, 1, n * 0.001, p_user_id => 'a,"(b\', p_metadata => '{"k": "é"}');
CALL pg_temp.seal_all(1000000);
SELECT count(*) FROM generate_series(1, 20) n,
    LATERAL holdfast.record_usage_and_increment(:'workflow', :org, 'm', n, 1, n * 0.001);
CALL pg_temp.seal_all(7);
SELECT holdfast.seal_ledger() AS nothing_left;
SELECT sum(s.entries) = (SELECT count(*) FROM holdfast.ai_usage_ledger) AS all_sealed, count(*) >= 4 AS in_parts,
       bool_and(octet_length(s.marks) = 8 * s.entries AND octet_length(s.digest) = 32) AS sizes_fit
FROM holdfast.ledger_seals s;
SELECT * FROM holdfast.verify_ledger();
SELECT * FROM holdfast.verify_ledger((SELECT digest FROM holdfast.ledger_seals ORDER BY seal LIMIT 1));
SELECT * FROM holdfast.verify_ledger('\x00');

-- An entry's digest hangs on each of its columns, and on no setting.
SELECT string_agg(attname, ', ') AS column_not_covered FROM pg_attribute a
WHERE a.attrelid = 'holdfast.ai_usage_ledger'::regclass AND a.attnum > 0 AND NOT a.attisdropped
  AND pg_get_functiondef('holdfast.ledger_entry_digest'::regproc) NOT LIKE '%(p\_entry).' || a.attname || '%';
SELECT id AS entry FROM holdfast.ai_usage_ledger WHERE organization_id = :org ORDER BY seq LIMIT 1 \gset
CREATE TEMP TABLE digests AS SELECT 'plain' AS setting, holdfast.ledger_entry_digest(l) AS digest
FROM holdfast.ai_usage_ledger l WHERE id = :'entry';
SET timezone = 'America/St_Johns'; SET datestyle = 'SQL, DMY'; SET extra_float_digits = -15; SET intervalstyle = 'iso_8601';
SET bytea_output = 'escape'; SET client_encoding = 'LATIN1'; SET lc_numeric = 'C'; SET quote_all_identifiers = on;
INSERT INTO digests SELECT 'changed', holdfast.ledger_entry_digest(l) FROM holdfast.ai_usage_ledger l WHERE id = :'entry';
RESET ALL;
SELECT count(DISTINCT digest) AS digests FROM digests;
-- The very text of format 1, so that it can be computed outside of the database.
SELECT encode(holdfast.ledger_entry_digest(e), 'hex') = encode(sha256(convert_to(
    '(7,00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002,,,,1767225600.000001,,1,2,,,,f,f,f,f,usage,"a b","","q""\\",1.50,,,0,,"{""k"": 1}",,,,)',
    'UTF8')), 'hex') AS as_documented
FROM (SELECT jsonb_populate_record(NULL::holdfast.ai_usage_ledger, '{"seq": 7, "id": "00000000-0000-0000-0000-000000000001",
    "organization_id": "00000000-0000-0000-0000-000000000002", "created_at": "2026-01-01T00:00:00.000001Z", "prompt_tokens": 1,
    "completion_tokens": 2, "cache_hit": false, "fallback_used": false, "anomaly_flag": false, "estimated": false, "kind": "usage",
    "provider": "a b", "model": "", "user_id": "q\"\\", "cost": 1.50, "overrun": 0, "metadata": {"k": 1}}') AS e) t;

-- Seals are append-only too, also where ordinary triggers sleep.
UPDATE holdfast.ledger_seals SET entries = 0;
SET session_replication_role = replica;
DELETE FROM holdfast.ledger_seals;
TRUNCATE holdfast.ledger_seals;
RESET session_replication_role;

CREATE TEMP TABLE mine AS SELECT row_number() OVER (ORDER BY seq) AS n, seq, id FROM holdfast.ai_usage_ledger WHERE organization_id = :org;
CREATE TEMP TABLE chain AS SELECT row_number() OVER (ORDER BY seal) AS n, count(*) OVER () AS seals, seal FROM holdfast.ledger_seals;
CREATE FUNCTION pg_temp.damage(what text, how text) RETURNS TABLE (damage text, seal_of text, entry text, problem text) LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE holdfast.ai_usage_ledger DISABLE TRIGGER append_only;
    ALTER TABLE holdfast.ledger_seals DISABLE TRIGGER append_only;
    EXECUTE how;
    -- Seals and seqs are shown relative to this test's own, for other tests have entries too.
    RETURN QUERY SELECT what, 'last' || nullif((SELECT c.n - c.seals FROM chain c WHERE c.seal = v.seal), 0),
                        coalesce('entry ' || (SELECT m.n FROM mine m WHERE m.seq = v.seq),
                                 CASE WHEN v.seq IS NOT NULL THEN 'a new seq' END) || CASE WHEN v.entry_id IS NULL THEN ', gone' ELSE '' END,
                        regexp_replace(v.problem, '\d+', 'N', 'g')
                 FROM holdfast.verify_ledger() v;
    IF NOT FOUND THEN
        RETURN QUERY SELECT what, NULL, NULL, 'nothing found';
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'HF000';
EXCEPTION WHEN SQLSTATE 'HF000' THEN
    RETURN;
END $$;
SELECT d.* FROM (VALUES
    ('cost', 'UPDATE holdfast.ai_usage_ledger SET cost = cost + 0.0000001 WHERE id = (SELECT id FROM mine WHERE n = 22)'),
    ('scale of a cost', 'UPDATE holdfast.ai_usage_ledger SET cost = cost * 1.0 WHERE id = (SELECT id FROM mine WHERE n = 22)'),
    ('moment', 'UPDATE holdfast.ai_usage_ledger SET created_at = created_at - interval ''1 microsecond'' WHERE id = (SELECT id FROM mine WHERE n = 40)'),
    ('metadata', 'UPDATE holdfast.ai_usage_ledger SET metadata = ''{"k": 1}'' WHERE id = (SELECT id FROM mine WHERE n = 3)'),
    ('NULL made empty', 'UPDATE holdfast.ai_usage_ledger SET tool = '''' WHERE id = (SELECT id FROM mine WHERE n = 22)'),
    ('text moved between columns', 'UPDATE holdfast.ai_usage_ledger SET provider = model, model = provider WHERE id = (SELECT id FROM mine WHERE n = 22)'),
    ('two at once', 'UPDATE holdfast.ai_usage_ledger SET model = ''x'' WHERE id IN (SELECT id FROM mine WHERE n IN (2, 39))'),
    ('deleted', 'DELETE FROM holdfast.ai_usage_ledger WHERE id = (SELECT id FROM mine WHERE n = 25)'),
    ('seqs exchanged', 'UPDATE holdfast.ai_usage_ledger l SET seq = (SELECT 2 * o.seq - l.seq FROM mine o WHERE n = 31) WHERE id IN (SELECT id FROM mine WHERE n IN (30, 32))'),
    ('inserted under a seq that is taken', 'INSERT INTO holdfast.ai_usage_ledger (id, organization_id, created_at, prompt_tokens, completion_tokens, cost, seq)
       SELECT gen_random_uuid(), gen_random_uuid(), now(), 1, 1, 1, seq FROM mine WHERE n = 33'),
    ('inserted before the first', 'INSERT INTO holdfast.ai_usage_ledger (id, organization_id, created_at, prompt_tokens, completion_tokens, cost, seq)
       VALUES (gen_random_uuid(), gen_random_uuid(), now(), 1, 1, 1, -3)'),
    ('seal counts less', 'UPDATE holdfast.ledger_seals SET entries = entries - 1 WHERE seal = (SELECT seal FROM chain WHERE n = seals - 1)'),
    ('seal''s marks', 'UPDATE holdfast.ledger_seals SET marks = substr(marks, 9) || substr(marks, 1, 8) WHERE seal = (SELECT seal FROM chain WHERE n = seals - 1)'),
    ('seal''s digest', 'UPDATE holdfast.ledger_seals SET digest = sha256(digest) WHERE seal = (SELECT seal FROM chain WHERE n = seals - 1)'),
    ('last seal''s digest', 'UPDATE holdfast.ledger_seals SET digest = sha256(digest) WHERE seal = (SELECT seal FROM chain WHERE n = seals)'),
    ('seal removed', 'DELETE FROM holdfast.ledger_seals WHERE seal = (SELECT seal FROM chain WHERE n = seals - 1)'),
    ('chain cut at its end', 'DELETE FROM holdfast.ledger_seals WHERE seal > (SELECT seal FROM chain WHERE n = seals - 2)'),
    ('chain removed', 'DELETE FROM holdfast.ledger_seals')
    ) c(what, how), LATERAL pg_temp.damage(c.what, c.how) d;

-- An entry altered and its seal made anew: the next seal does not follow any more.
BEGIN;
ALTER TABLE holdfast.ai_usage_ledger DISABLE TRIGGER append_only;
ALTER TABLE holdfast.ledger_seals DISABLE TRIGGER append_only;
UPDATE holdfast.ai_usage_ledger SET cost = 0 WHERE id = (SELECT id FROM mine WHERE n = 22);
UPDATE holdfast.ledger_seals s SET marks = c.marks, digest = holdfast.ledger_seal_digest(s, c.content)
FROM mine m, holdfast.ledger_seal_contents(0, 1000000) c
WHERE m.n = 22 AND m.seq BETWEEN s.from_seq AND s.to_seq AND (c.stored).seal = s.seal;
SELECT v.seal - s.seal AS seals_after, v.problem FROM holdfast.verify_ledger() v, mine m, holdfast.ledger_seals s
WHERE m.n = 22 AND m.seq BETWEEN s.from_seq AND s.to_seq;
ROLLBACK;
SELECT * FROM holdfast.verify_ledger();
SELECT holdfast.seal_ledger(0);
SELECT holdfast.seal_ledger(NULL);
