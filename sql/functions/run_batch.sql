-- Batches: one definition over many inputs, under one hold.

CREATE FUNCTION start_run_batch(p_organization_id uuid, p_inputs jsonb, p_workflow_id uuid DEFAULT NULL,
                                p_name text DEFAULT NULL, p_definition jsonb DEFAULT NULL, p_user_id text DEFAULT NULL,
                                p_idempotency_key text DEFAULT NULL, p_api_key_id uuid DEFAULT NULL,
                                p_community_id uuid DEFAULT NULL, p_tool text DEFAULT NULL,
                                p_max_cost numeric DEFAULT NULL, p_most_active integer DEFAULT 10,
                                p_ip inet DEFAULT NULL, p_route text DEFAULT NULL,
                                OUT batch_id uuid, OUT status text, OUT granted boolean, OUT duplicate boolean,
                                OUT inputs integer, OUT scope text, OUT limit_usd numeric, OUT spent numeric,
                                OUT held numeric, OUT rate_layer text, OUT rate_limit bigint, OUT rate_remaining bigint,
                                OUT rate_reset_ms integer, OUT retry_after_ms integer)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_start_run_batch';
COMMENT ON FUNCTION start_run_batch(uuid, jsonb, uuid, text, jsonb, text, text, uuid, uuid, text, numeric, integer, inet, text) IS
'Begins a batch: a run of the definition (as start_run() finds it) for each of 1 to 10000 inputs (p_inputs, a JSON array of objects), p_most_active (1 to 100) of them at once, under one hold of p_max_cost USD (NULL: what all of them may cost). All inputs are checked before anything is held. Each run takes its part of the hold when it begins, and what is left of that comes back. A batch counts as one start of a run on the rate limits. Not granted, limited, duplicate: as start_run(). The runs are begun by tend_run_batches(). Raises PT400 (naming the first bad input), PT403, PT404, PT409 (key used with another batch), PT422 (definition).';

CREATE FUNCTION tend_run_batches(p_most integer DEFAULT 100) RETURNS integer
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_tend_run_batches';
COMMENT ON FUNCTION tend_run_batches(integer) IS
'Looks after all batches that no other session looks after: takes back what runs have left, begins up to p_most (1 to 1000) runs where there is room, extends holds, ends what is done. Returns how many runs were begun. Workers call it before claim_step(). A batch of which nobody took care for a day fails (hold_expired). Raises PT400.';

CREATE FUNCTION cancel_run_batch(p_batch_id uuid, p_organization_id uuid, p_reason text DEFAULT NULL) RETURNS text
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_cancel_run_batch';
COMMENT ON FUNCTION cancel_run_batch(uuid, uuid, text) IS
'Ends a batch and its runs as cancel_run() does, begins no more, and gives its hold back. Returns its status. One that was cancelled before stays so. Raises PT403, PT404, PT409 for one that has ended otherwise.';

-- Holds are looked up one by one, for the few runs that have one: however many runs a batch has, and whatever is known of
-- the tables when a plan is made.
CREATE VIEW ai_run_batches WITH (security_barrier) AS
    SELECT b.organization_id, b.batch_id, b.workflow_id, b.name, b.version, b.user_id, b.status, b.inputs,
           b.inputs - r.begun AS pending, r.running, r.completed, r.failed, r.cancelled,
           trim_scale(r.cost) AS total_cost_usd, trim_scale(coalesce(own.held, 0) + r.held) AS held_usd,
           trim_scale(coalesce(own.held, 0) + r.remaining) AS remaining_usd, trim_scale(b.max_cost) AS max_cost_usd,
           b.most_active, b.error, b.created_at, b.ended_at
    FROM holdfast.workflow_run_batches b,
         LATERAL (SELECT (SELECT h.amount FROM holdfast.holds h
                          WHERE h.organization_id = b.organization_id AND h.hold_id = b.batch_id
                            AND h.status = 'open' AND h.expires_at > clock_timestamp()) AS held) own,
         LATERAL (SELECT count(*)::integer AS begun, count(*) FILTER (WHERE r.ended_at IS NULL)::integer AS running,
                         count(*) FILTER (WHERE r.status = 'completed')::integer AS completed,
                         count(*) FILTER (WHERE r.status = 'failed')::integer AS failed,
                         count(*) FILTER (WHERE r.status = 'cancelled')::integer AS cancelled,
                         coalesce(sum(r.total_cost), 0) AS cost,
                         coalesce(sum(r.own), 0) + coalesce(sum(r.attempts), 0) AS held,
                         coalesce(sum(r.own) FILTER (WHERE r.rest_is_due), 0) AS remaining
                  FROM (SELECT r.status, r.ended_at, r.total_cost, r.rest_is_due,
                               CASE WHEN r.ended_at IS NULL OR r.rest_is_due THEN
                                   (SELECT h.amount FROM holdfast.holds h
                                    WHERE h.organization_id = r.organization_id AND h.hold_id = r.run_id
                                      AND h.status = 'open' AND h.expires_at > clock_timestamp()) END AS own,
                               CASE WHEN r.ended_at IS NULL THEN
                                   (SELECT sum((SELECT h.amount FROM holdfast.holds h
                                                WHERE h.organization_id = a.organization_id AND h.hold_id = a.hold_id
                                                  AND h.status = 'open' AND h.expires_at > clock_timestamp()))
                                    FROM holdfast.workflow_run_attempts a
                                    WHERE a.organization_id = r.organization_id AND a.run_id = r.run_id
                                      AND a.outcome = 'running') END AS attempts
                        FROM holdfast.workflow_runs r
                        WHERE r.organization_id = b.organization_id AND r.batch_id = b.batch_id) r) r
    WHERE b.organization_id = (SELECT holdfast.current_organization()) OR (SELECT holdfast.sees_every_organization());
COMMENT ON VIEW ai_run_batches IS
'Batches as the outside sees them: how many inputs are pending (no run of theirs has begun), running, completed, failed and cancelled; in USD what they have cost so far, what is held for them, and of that what further runs may take.';

CREATE FUNCTION get_run_batch(p_batch_id uuid, p_organization_id uuid) RETURNS SETOF holdfast.ai_run_batches
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    RETURN QUERY SELECT * FROM holdfast.ai_run_batches b
    WHERE b.organization_id = p_organization_id AND b.batch_id = p_batch_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'The organization has no batch %.', p_batch_id
            USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('batchId', p_batch_id);
    END IF;
END $$;
COMMENT ON FUNCTION get_run_batch(uuid, uuid) IS 'One batch as ai_run_batches shows it. Raises PT403, PT404.';

CREATE FUNCTION list_run_batches(p_organization_id uuid, p_limit integer DEFAULT 50) RETURNS SETOF holdfast.ai_run_batches
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    IF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'p_limit is %, outside 1 to 1000.', p_limit
            USING ERRCODE = 'PT400', DETAIL = jsonb_build_object('field', 'p_limit');
    END IF;
    RETURN QUERY SELECT * FROM holdfast.ai_run_batches b
    WHERE b.organization_id = p_organization_id ORDER BY b.created_at DESC LIMIT p_limit;
END $$;
COMMENT ON FUNCTION list_run_batches(uuid, integer) IS 'The newest batches of the organization. Raises PT400, PT403.';

CREATE FUNCTION list_run_batch_results(p_batch_id uuid, p_organization_id uuid, p_after integer DEFAULT 0,
                                       p_limit integer DEFAULT 100, p_status text DEFAULT NULL,
                                       OUT input_no integer, OUT input jsonb, OUT run_id uuid, OUT status text,
                                       OUT steps jsonb, OUT error jsonb, OUT total_cost_usd numeric,
                                       OUT total_latency_ms bigint)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM holdfast.get_run_batch(p_batch_id, p_organization_id);
    IF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'p_limit is %, outside 1 to 1000.', p_limit
            USING ERRCODE = 'PT400', DETAIL = jsonb_build_object('field', 'p_limit');
    ELSIF p_status NOT IN ('pending', 'running', 'waiting', 'completed', 'failed', 'cancelled') THEN
        RAISE EXCEPTION 'There is no status "%".', p_status
            USING ERRCODE = 'PT400', DETAIL = jsonb_build_object('field', 'p_status'),
                  HINT = 'Statuses are pending, running, waiting, completed, failed and cancelled.';
    END IF;
    RETURN QUERY
    SELECT p.input_no, p.input, p.run_id, p.status, v.steps, v.error, v.total_cost_usd, v.total_latency_ms
    FROM (SELECT i.input_no, i.input, r.run_id, coalesce(r.status, 'pending') AS status
          FROM holdfast.workflow_run_batch_inputs i
          LEFT JOIN holdfast.workflow_runs r
            ON r.organization_id = i.organization_id AND r.batch_id = i.batch_id AND r.batch_no = i.input_no
          WHERE i.organization_id = p_organization_id AND i.batch_id = p_batch_id AND i.input_no > coalesce(p_after, 0)
            AND (p_status IS NULL OR coalesce(r.status, 'pending') = p_status)
          ORDER BY i.input_no LIMIT p_limit) p
    LEFT JOIN LATERAL (SELECT * FROM holdfast.ai_workflow_runs v
                       WHERE v.organization_id = p_organization_id AND v.run_id = p.run_id) v ON true
    ORDER BY p.input_no;
END $$;
COMMENT ON FUNCTION list_run_batch_results(uuid, uuid, integer, integer, text) IS
'The inputs of a batch after number p_after, in order, each with its run as ai_workflow_runs shows it (pending: no run yet); p_status: those alone. For the next page give the last input_no. Raises PT400, PT403, PT404.';
