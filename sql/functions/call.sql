-- One governed call: opened before the provider is asked, settled or released after.

CREATE FUNCTION open_call(p_organization_id uuid, p_key_hash bytea, p_model text, p_prompt_tokens integer,
                          p_completion_tokens integer, p_provider text DEFAULT NULL, p_providers text[] DEFAULT NULL,
                          p_workflow_id uuid DEFAULT NULL, p_user_id text DEFAULT NULL,
                          p_idempotency_key text DEFAULT NULL, p_fingerprint bytea DEFAULT NULL,
                          p_ttl interval DEFAULT '10 minutes', p_sizing text DEFAULT 'strict',
                          p_community_id uuid DEFAULT NULL, p_tool text DEFAULT NULL, p_ip inet DEFAULT NULL,
                          p_route text DEFAULT NULL, p_models text[] DEFAULT NULL,
                          p_routing text DEFAULT 'cheapest', p_fallbacks integer DEFAULT 0,
                          p_capabilities text[] DEFAULT NULL, p_request_id uuid DEFAULT NULL,
                          p_correlation_id text DEFAULT NULL, p_approve_above numeric DEFAULT NULL,
                          p_approval_id uuid DEFAULT NULL, p_hold_id uuid DEFAULT NULL,
                          p_in_batch boolean DEFAULT false,
                          OUT outcome text, OUT hold_id uuid, OUT provider text, OUT model text,
                          OUT estimated_cost numeric, OUT scope text, OUT limit_usd numeric, OUT spent numeric,
                          OUT held numeric, OUT remaining numeric, OUT expires_at timestamptz, OUT user_id text,
                          OUT retry_after_ms integer, OUT answer_status integer, OUT answer text,
                          OUT completion_tokens integer, OUT warning text, OUT rate_layer text, OUT rate_limit bigint,
                          OUT rate_remaining bigint, OUT rate_reset_ms integer, OUT trial bigint,
                          OUT routing jsonb, OUT redact boolean, OUT keeps_bodies boolean, OUT caches_all boolean,
                          OUT scoped_budgets boolean, OUT approval_id uuid, OUT approval_threshold numeric)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_open_call';
COMMENT ON FUNCTION open_call(uuid, bytea, text, integer, integer, text, text[], uuid, text, text, bytea, interval, text, uuid, text, inet, text, text[], text, integer, text[], uuid, text, numeric, uuid, uuid, boolean) IS
'Opens one governed call: checks the API key, finds the provider (p_provider, else by p_routing, cheapest, fastest or specified, one of p_providers; p_models names the model to ask of each where that is not p_model; p_capabilities are what the price list must say of it) and holds the most that the call can cost with at most these prompt and completion tokens. outcome is granted; denied (scope and figures say which budget refused); limited (a rate limit refused; retry_after_ms); replay (answer_status and answer are what the first call under p_idempotency_key answered, estimated_cost what it cost); in_flight (that call has not ended); or approval_required: the estimate is above p_approve_above or the organization''s own threshold (set_approval_threshold()), and nothing was held. The request is then to be repeated unchanged with p_approval_id once an admin has approved it (approve_call()); it is made once, under p_idempotency_key or, without one, the approval''s own, however often it is repeated. p_fingerprint (SHA-256 of the request) is what the approval is bound to. p_hold_id is the id that its hold is to have: a call of which it is unknown whether it was opened may be asked for again with the same. p_in_batch true is for calls that are opened in one transaction: what would be raised, and would undo the others, is the outcome failed of this one, with answer {sqlstate, message, detail, hint} as JSON. spent and held are those of the budget that refused or is the tightest, NULL where nothing has a limit. p_sizing strict holds the worst case; clamp lowers completion_tokens to what is left, and says so; estimate holds what 95 of 100 such calls of the organization cost. model is another than asked for when a budget''s downgrade threshold is reached; warning names the scope of a reached soft limit. Where the library is preloaded, the call counts on the rate limits of check_rate_limit(), of which rate_layer is the tightest or the one that refused, and passes the provider''s circuit breaker; trial is to be given to settle_call() or release_call(). routing is {strategy, reason, chain: [{provider, model, mostUSD, latencyMs}], skipped}: the chain begins with the provider of the call and goes on with at most p_fallbacks others that may stand in (next_attempt()); the hold is sized for the dearest of them, or, where that does not fit, without the dearer ones. redact: the organization wants its providers to get the prompt as redact_text() leaves it; caches_all: it wants the answers to all its requests kept (cached_call()); scoped_budgets: it has other budgets than its month''s and its workflows'', so that calls for several users or keys opened in one transaction may wait for those of another in a ring. A call that is not granted leaves a row in ai_audit_log, with p_request_id, p_correlation_id and p_route. keeps_bodies: settle_call() is to be given p_request, since the audit log keeps bodies. Raises PT400, PT401 (API key), PT403 (also a model or provider that the key does not allow), PT404 (workflow), PT409 (key used with another p_fingerprint), PT422 (unpriced model or inactive provider), PT503 (the breaker is open).';

CREATE FUNCTION settle_call(p_organization_id uuid, p_hold_id uuid, p_model text, p_prompt_tokens integer,
                            p_completion_tokens integer, p_cached_tokens integer DEFAULT 0,
                            p_cache_write_tokens integer DEFAULT 0, p_reasoning_tokens integer DEFAULT 0,
                            p_estimated boolean DEFAULT false, p_reported_cost numeric DEFAULT NULL,
                            p_answer_status integer DEFAULT NULL, p_answer text DEFAULT NULL,
                            p_metadata jsonb DEFAULT '{}', p_provider_ok boolean DEFAULT NULL, p_latency_ms integer DEFAULT NULL,
                            p_trial bigint DEFAULT NULL, p_fallback_used boolean DEFAULT false,
                            p_request text DEFAULT NULL,
                            OUT ledger_id uuid, OUT cost numeric, OUT total_ai_cost numeric, OUT duplicate boolean,
                            OUT overrun numeric, OUT remaining numeric)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_settle_call';
COMMENT ON FUNCTION settle_call(uuid, uuid, text, integer, integer, integer, integer, integer, boolean, numeric, integer, text, jsonb, boolean, integer, bigint, boolean, text) IS
'Settles a governed call by its hold: the ledger entry has the hold''s id, so repeating it charges nothing. Keeps the answer for repeats under the call''s idempotency key. remaining is what is left in USD of the tightest budget. p_provider_ok and p_latency_ms tell the provider''s circuit breaker how the call went. Leaves a row in ai_audit_log, with requestId, correlationId, route and routing of p_metadata, and p_request and p_answer as set_audit() says. Raises PT400, PT404 (hold), PT409, PT422 as record_usage_and_increment() does.';

CREATE FUNCTION next_attempt(p_organization_id uuid, p_hold_id uuid, p_new_hold_id uuid, p_provider text, p_model text,
                             p_prompt_tokens integer, p_completion_tokens integer,
                             p_ttl interval DEFAULT '10 minutes', p_sizing text DEFAULT 'strict',
                             p_used_prompt_tokens integer DEFAULT NULL, p_used_completion_tokens integer DEFAULT NULL,
                             p_fallback_used boolean DEFAULT false, p_metadata jsonb DEFAULT '{}',
                             p_provider_ok boolean DEFAULT NULL, p_latency_ms integer DEFAULT NULL,
                             p_trial bigint DEFAULT NULL,
                             OUT hold_id uuid, OUT cost numeric, OUT expires_at timestamptz, OUT trial bigint)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_next_attempt';
COMMENT ON FUNCTION next_attempt(uuid, uuid, uuid, text, text, integer, integer, interval, text, integer, integer, boolean, jsonb, boolean, integer, bigint) IS
'Goes on with a governed call whose attempt has failed, in one step: ends its hold, by an estimated ledger entry of its own when p_used_prompt_tokens says what may have been charged (cost is that; p_fallback_used and p_metadata are of the attempt that failed), else by giving it back, and holds for p_provider and p_model under p_new_hold_id, on their budgets, what the call can cost there. The idempotency key of the call moves along. It counts on the rate limit of p_provider and passes its circuit breaker, as open_call() does; trial is to be given to settle_call() or release_call(). May be repeated. Raises PT402 with the figures when a budget has no room, PT429 and PT503 when the rate limit or the breaker refuses (then nothing has changed), PT404 (hold), PT422 (unpriced model).';

CREATE FUNCTION retry_attempt(p_organization_id uuid, p_hold_id uuid, p_prompt_tokens integer, p_completion_tokens integer,
                              p_provider_ok boolean, p_latency_ms integer, p_trial bigint DEFAULT NULL,
                              OUT admitted boolean, OUT trial bigint)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_retry_attempt';
COMMENT ON FUNCTION retry_attempt(uuid, uuid, integer, integer, boolean, integer, bigint) IS
'Before another attempt at the same provider of a governed call whose last one cost nothing: tells the provider''s circuit breaker how that went, and whether the next may be made (by the provider''s rate limit, on which it counts, and the breaker). The hold stays as it is. trial is to be given to settle_call(), release_call() or the next attempt. Raises PT400, PT404 (hold).';

CREATE FUNCTION release_call(p_organization_id uuid, p_hold_id uuid, p_provider_ok boolean DEFAULT NULL,
                             p_latency_ms integer DEFAULT NULL, p_trial bigint DEFAULT NULL,
                             p_metadata jsonb DEFAULT NULL, p_answer_status integer DEFAULT NULL)
    RETURNS boolean
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_release_call';
COMMENT ON FUNCTION release_call(uuid, uuid, boolean, integer, bigint, jsonb, integer) IS
'Ends a governed call that cost nothing: gives its hold back and frees its idempotency key. p_provider_ok and p_latency_ms tell the provider''s circuit breaker how it went; without them a trial is given back. p_metadata and p_answer_status are for the row in ai_audit_log. False when its hold has ended before. Raises PT404 for an unknown hold.';
