-- Rate limits: six layers, one decision; a refusal is a row.
\set org '\'4a000000-0000-4000-8000-000000000001\''
\set other '\'4a000000-0000-4000-8000-000000000002\''
\set key '\'4a000000-0000-4000-8000-0000000000c1\''

-- As shipped.
SELECT * FROM holdfast.get_rate_limits();

-- 100 a minute and user, exactly.
SELECT allowed, layer, unit, limit_count, min(remaining) AS least, max(remaining) AS most, count(*)
FROM generate_series(1, 120) n, LATERAL holdfast.check_rate_limit(:org, 'ada', p_tokens => n) GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC;
SELECT allowed, layer, remaining, reset_ms BETWEEN 50000 AND 60001 AS a_minute, retry_after_ms = reset_ms AS same
FROM holdfast.check_rate_limit(:org, 'ada');
BEGIN;
SELECT allowed FROM holdfast.check_rate_limit(:org, 'ada');
SELECT current_setting('response.status');
COMMIT;
SELECT event, status, detail - '{retryAfterMs,tokens}'::text[] AS detail, user_id, count(*) FROM holdfast.get_audit_log(:org)
GROUP BY 1, 2, 3, 4;
-- Another user, and the same name in another organization.
SELECT allowed, remaining FROM holdfast.check_rate_limit(:org, 'bob');
SELECT allowed, remaining FROM holdfast.check_rate_limit(:other, 'ada');

-- An address is one caller in all organizations; of IPv6 it is the network of 64 bits; ::ffff: is IPv4.
SELECT holdfast.set_rate_limit('ip', 3);
SELECT ip, allowed, layer, remaining FROM unnest('{192.0.2.7,192.0.2.7,::ffff:192.0.2.7,192.0.2.7,2001:db8::1,2001:db8::2,2001:db8::3,2001:db8::4,2001:db8:0:1::1}'::inet[])
    WITH ORDINALITY a(ip, n), LATERAL holdfast.check_rate_limit(CASE WHEN n % 2 = 0 THEN :org ELSE :other END::uuid, p_ip => ip);

-- The first layer that refuses is named, and what it refused counts nowhere.
SELECT holdfast.set_rate_limit('provider', 2);
SELECT allowed, layer, limit_count, remaining FROM generate_series(1, 4) n,
    LATERAL holdfast.check_rate_limit(:org, 'carl', '198.51.100.1', :key, 'acme', n);
SELECT allowed, layer, remaining FROM holdfast.check_rate_limit(:org, 'carl');
SELECT allowed, layer FROM holdfast.check_rate_limit(:org, 'ada', '192.0.2.7', :key, 'acme');

-- Runs of workflows: 20 in five minutes and user.
SELECT allowed, layer, limit_count, count(*) FROM generate_series(1, 25) n,
    LATERAL holdfast.check_rate_limit(:org, 'dora', p_starts_run => n > 0) GROUP BY 1, 2, 3 ORDER BY 1 DESC;

-- Tokens.
SELECT holdfast.set_rate_limit('user', 100, 1000);
SELECT allowed, layer, unit, limit_count, remaining FROM unnest('{600,400,1}'::integer[]) tokens,
    LATERAL holdfast.check_rate_limit(:org, 'eve', p_tokens => tokens);

-- A route of its own is counted apart.
SELECT holdfast.set_rate_limit('user', 1, p_route => '/v1/embeddings', p_window => '10 seconds');
SELECT route, allowed, limit_count, remaining FROM unnest('{/v1/embeddings,/v1/embeddings,/v1/messages}'::text[]) route,
    LATERAL holdfast.check_rate_limit(:org, 'finn', p_route => route);
SELECT * FROM holdfast.get_rate_limits() WHERE layer IN ('user', 'ip');
SELECT holdfast.reset_rate_limit('user', '/v1/embeddings'), holdfast.reset_rate_limit('user', '/v1/embeddings');
SELECT allowed, limit_count FROM holdfast.check_rate_limit(:org, 'finn', p_route => '/v1/embeddings');

-- Unlimited.
SELECT holdfast.set_rate_limit(layer, NULL) FROM unnest('{user,global}'::text[]) layer;
SELECT * FROM holdfast.check_rate_limit(:org, 'ada');
SELECT count(holdfast.reset_rate_limit(layer)) FROM unnest('{user,ip,provider,global}'::text[]) layer;

SELECT active_keys > 0 AS keys, most_keys > 10000 AS room, violations > 20 AS violations, given_up FROM holdfast.rate_limit_memory();

-- What is refused as a mistake, and changes nothing.
SELECT holdfast.set_rate_limit('planet', 1);
SELECT holdfast.set_rate_limit('user', -1);
SELECT holdfast.set_rate_limit('user', 1, p_window => '2 hours');
SELECT holdfast.check_rate_limit(NULL);
SELECT holdfast.check_rate_limit(:org, p_tokens => -1);
SELECT count(*) FROM holdfast.rate_limits;
