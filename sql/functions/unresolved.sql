-- Calls that began and have no end: neither settled nor released before their hold ran out.

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON call_write_offs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE call_write_offs ENABLE ALWAYS TRIGGER append_only;

CREATE VIEW unresolved_calls WITH (security_barrier) AS
    SELECT h.organization_id, h.hold_id, h.workflow_id, trim_scale(h.amount) AS most_usd, h.created_at, h.expires_at,
           h.provider, h.model, h.user_id, h.api_key_id, h.community_id, h.tool, h.call_key
    FROM holdfast.holds h
    WHERE (h.organization_id = (SELECT holdfast.current_organization()) OR (SELECT holdfast.sees_every_organization()))
      AND (h.status = 'expired' OR h.status = 'open' AND h.expires_at <= clock_timestamp())
      AND NOT EXISTS (SELECT FROM holdfast.call_write_offs w
                      WHERE w.organization_id = h.organization_id AND w.hold_id = h.hold_id)
      -- The hold of a run, or of a batch of them, is no call: its steps have holds of their own.
      AND NOT EXISTS (SELECT FROM holdfast.workflow_runs r
                      WHERE r.organization_id = h.organization_id AND r.run_id = h.hold_id)
      AND NOT EXISTS (SELECT FROM holdfast.workflow_run_batches b
                      WHERE b.organization_id = h.organization_id AND b.batch_id = h.hold_id);
COMMENT ON VIEW unresolved_calls IS
'Calls whose hold ran out without a settlement or a release, each with the most in USD that it can have cost. They are settled late as any other call, or closed by write_off_call().';

CREATE FUNCTION write_off_call(p_hold_id uuid, p_organization_id uuid, p_reason text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    hold holdfast.holds;
    earlier holdfast.call_write_offs;
BEGIN
    IF p_organization_id IS NULL OR p_hold_id IS NULL OR coalesce(btrim(p_reason), '') = '' THEN
        RAISE EXCEPTION 'A write-off needs a hold, its organization and a reason.'
            USING ERRCODE = 'PT400', HINT = 'Give p_hold_id, p_organization_id and p_reason.';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    -- A settlement that is under way is waited for.
    SELECT * INTO hold FROM holdfast.holds h
    WHERE h.organization_id = p_organization_id AND h.hold_id = p_hold_id FOR NO KEY UPDATE;
    SELECT * INTO earlier FROM holdfast.call_write_offs w
    WHERE w.organization_id = p_organization_id AND w.hold_id = p_hold_id;
    IF hold.hold_id IS NULL THEN
        RAISE EXCEPTION 'The organization has no hold %.', p_hold_id
            USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('holdId', p_hold_id);
    ELSIF earlier.hold_id IS NOT NULL THEN
        RAISE EXCEPTION 'Call % was written off before.', p_hold_id
            USING ERRCODE = 'PT409', DETAIL = jsonb_build_object('holdId', p_hold_id, 'writtenOffAt', earlier.written_off_at,
                                                                'reason', earlier.reason);
    ELSIF hold.status IN ('settled', 'released') THEN
        RAISE EXCEPTION 'Call % has ended: its hold is %.', p_hold_id, hold.status
            USING ERRCODE = 'PT409', DETAIL = jsonb_build_object('holdId', p_hold_id, 'status', hold.status);
    ELSIF hold.status = 'open' AND hold.expires_at > clock_timestamp() THEN
        RAISE EXCEPTION 'Call % may still be running: its hold has not run out.', p_hold_id
            USING ERRCODE = 'PT409', DETAIL = jsonb_build_object('holdId', p_hold_id, 'expiresAt', hold.expires_at),
                  HINT = 'Release it with holdfast.release_hold(), or wait until it has run out.';
    END IF;
    INSERT INTO holdfast.call_write_offs (organization_id, hold_id, amount, reason)
    VALUES (p_organization_id, p_hold_id, hold.amount, p_reason);
    RETURN true;
END $$;
COMMENT ON FUNCTION write_off_call(uuid, uuid, text) IS
'Closes a call of unresolved_calls without a charge, for a reason that is kept (call_write_offs). True. A settlement that comes later is still recorded. Raises PT400, PT403, PT404 for an unknown hold, PT409 for one that has ended, still runs, or was written off before.';
