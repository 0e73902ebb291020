-- Records that nobody may change.

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of holdfast.% is refused: it is append-only.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'PT409',
              HINT = 'Record a correction as a new row.';
END $$;
COMMENT ON FUNCTION refuse_change() IS 'Trigger: raises PT409 for every UPDATE, DELETE and TRUNCATE.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ai_usage_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE ai_usage_ledger ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ai_provider_pricing
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE ai_provider_pricing ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON budget_denials
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE budget_denials ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE ledger_seals ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON workflow_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE workflow_history ENABLE ALWAYS TRIGGER append_only;
