// How the gateway and its calls are doing: /metrics, /api/ai/telemetry, /api/ai/health/full.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Wire } from './support/database.mjs';
import { fixture, usageOf } from './support/fixtures.mjs';
import { kProviderKey } from './support/gateway.mjs';
import { readMetrics, valueOf } from './support/prometheus.mjs';
import { World } from './support/world.mjs';

const kModel = 'gpt-5-nano';
const kRoute = 'POST /api/ai/generate';
const kToken = 'a-token-for-the-metrics';

let world;
before(async () => {
  world = await World.create();
  // Without a limit nothing is counted.
  await world.database.query("SELECT holdfast.set_rate_limit('global', 100000)");
});
afterEach(() => world.verify());
after(() => world.close());

async function metricsOf(gateway = world.gateway, headers = {}) {
  const answer = await world.http('GET', '/metrics', { key: null, gateway, headers });
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  return { text: answer.text, metrics: readMetrics(answer.text) };
}

async function call(options = {}) {
  world.replay.next('chat_basic');
  world.expectEntry({ model: kModel, usage: usageOf(fixture('chat_basic')) });
  const body = { prompt: 'Hello!', model: kModel, provider: 'openai' };
  const answer = await world.http('POST', '/api/ai/generate', { body, ...options });
  assert.equal(answer.status, 200, answer.text);
  return answer;
}

// A request is counted once its answer has been sent.
async function counted(name, labels, value) {
  for (let tries = 0; tries < 200; tries++) {
    const { metrics } = await metricsOf();
    if (valueOf(metrics, name, labels) >= value) return metrics;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return assert.fail(`${name} stays below ${value}`);
}

test('calls, attempts and refusals are counted, in Prometheus’ format', async () => {
  await call();
  world.replay.next('error_401_invalid_key');
  const failed = await world.http('POST', '/api/ai/generate', { body: { prompt: 'x', model: kModel, provider: 'openai' } });
  assert.ok(failed.status >= 500);
  const workflow = await world.database.workflow(world.organization.id, '0.000001');
  const poor = await world.http('POST', '/api/ai/generate', { body: { prompt: 'x', model: kModel, provider: 'openai', workflowId: workflow } });
  assert.equal(poor.status, 402);
  await world.http('GET', '/of/my/own/choice');
  await counted('holdfast_http_requests_total', { route: kRoute, status: '402' }, 1);
  const metrics = await counted('holdfast_http_requests_total', { route: 'unknown', status: '404' }, 1);
  assert.equal(valueOf(metrics, 'holdfast_http_requests_total', { route: kRoute, status: '200' }), 1);
  assert.equal(valueOf(metrics, 'holdfast_http_request_duration_seconds_count', { route: kRoute }), 3);
  assert.equal(valueOf(metrics, 'holdfast_provider_attempts_total', { provider: 'openai', outcome: 'ok' }), 1);
  assert.equal(valueOf(metrics, 'holdfast_provider_attempts_total', { provider: 'openai', outcome: 'auth' }), 1);
  assert.equal(valueOf(metrics, 'holdfast_provider_first_byte_seconds_count', { provider: 'openai' }), 1);
  assert.equal(valueOf(metrics, 'holdfast_calls_opened_total', { outcome: 'granted' }), 2);
  assert.equal(valueOf(metrics, 'holdfast_calls_opened_total', { outcome: 'denied' }), 1);
  assert.equal(valueOf(metrics, 'holdfast_settlements_total'), 2);
  assert.equal(valueOf(metrics, 'holdfast_database_up'), 1);
  assert.ok(valueOf(metrics, 'process_resident_memory_bytes') > 1e6);
  assert.ok(valueOf(metrics, 'process_open_fds') > 5);
  assert.ok(valueOf(metrics, 'holdfast_database_connections', { state: 'idle' }) >= 0);
  assert.equal(valueOf(metrics, 'holdfast_circuit_breaker_state', { provider: 'openai', state: 'closed' }), 1);
  assert.ok(valueOf(metrics, 'holdfast_rate_limit_decisions_total') >= 3);
});

test('hits by tier, misses, waits and the memory of the cache show', async () => {
  const gateway = await world.startGateway();
  const other = await world.startGateway();
  const body = { prompt: 'Hello, cache!', model: kModel, provider: 'openai', cache: true };
  const ask = (by) => world.http('POST', '/api/ai/generate', { body, gateway: by });
  const figures = async (by) => {
    const { metrics } = await metricsOf(by);
    const { cache } = (await world.http('GET', '/api/ai/telemetry', { gateway: by })).json;
    const shown = {
      hits: {
        memory: valueOf(metrics, 'holdfast_cache_hits_total', { tier: 'memory' }),
        database: valueOf(metrics, 'holdfast_cache_hits_total', { tier: 'database' }),
      },
      misses: valueOf(metrics, 'holdfast_cache_misses_total'),
      waits: valueOf(metrics, 'holdfast_cache_waits_total'),
      memory: { answers: valueOf(metrics, 'holdfast_cache_memory_answers'), bytes: valueOf(metrics, 'holdfast_cache_memory_bytes') },
    };
    return { shown, cache, kept: valueOf(metrics, 'holdfast_cache_answers_total', { outcome: 'kept' }) };
  };
  const planned = world.replay.next('chat_basic', { waits: true });
  const first = ask(gateway);
  await planned.arrived;
  const second = ask(gateway);
  while ((await figures(gateway)).shown.waits === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  planned.release();
  const { text } = await first;
  await second; // which may have been told before the answer was in memory
  await ask(gateway);
  await ask(other);
  await ask(other);
  const usage = usageOf(fixture('chat_basic'));
  world.expectEntry({ model: kModel, usage });
  for (let hits = 0; hits < 4; hits++) world.expectEntry({ model: kModel, usage, hit: true });
  const made = await figures(gateway);
  assert.deepEqual(made.shown, made.cache);
  assert.equal(made.kept, 1);
  const { memory, hits, ...counts } = made.shown;
  assert.deepEqual(counts, { misses: 1, waits: 1 });
  assert.ok(hits.memory >= 1 && hits.memory + hits.database === 2, JSON.stringify(hits));
  assert.equal(memory.answers, 1);
  assert.ok(memory.bytes > text.length / 2 && memory.bytes < 10 * text.length, `${memory.bytes} bytes`);
  const read = await figures(other);
  assert.deepEqual(read.shown, read.cache);
  assert.deepEqual([read.shown.hits, read.shown.misses, read.shown.waits, read.kept], [{ memory: 1, database: 1 }, 0, 0, 0]);
});

test('a call in flight shows, and no secret, tenant or path of a caller’s choice does', async () => {
  const planned = world.replay.next('chat_basic', { waits: true });
  world.expectEntry({ model: kModel, usage: usageOf(fixture('chat_basic')) });
  const body = { prompt: 'a prompt that nobody counts', model: kModel, provider: 'openai', userId: 'ada' };
  const running = world.http('POST', '/api/ai/generate', { body });
  await planned.arrived;
  const { metrics, text } = await metricsOf();
  assert.equal(valueOf(metrics, 'holdfast_calls_in_flight'), 1);
  assert.equal(valueOf(metrics, 'holdfast_holds_open'), 1);
  planned.release();
  assert.equal((await running).status, 200);
  await counted('holdfast_settlements_total', {}, 3);
  assert.equal(valueOf((await metricsOf()).metrics, 'holdfast_calls_in_flight'), 0);
  for (const secret of [kProviderKey, world.organization.key, world.organization.id, 'ada', 'own/choice', 'nobody counts'])
    assert.ok(!text.includes(secret), secret);
});

test('metrics are for this machine, or for who has the token', async () => {
  const proxied = await world.http('GET', '/metrics', { headers: { 'X-Forwarded-For': '192.0.2.1' } });
  assert.equal(proxied.status, 403);
  assert.equal(proxied.json.code, 'metrics_forbidden');
  const guarded = await world.startGateway({ env: { HOLDFAST_METRICS_TOKEN: kToken } });
  assert.equal((await world.http('GET', '/metrics', { key: null, gateway: guarded })).status, 403);
  assert.equal((await world.http('GET', '/metrics', { gateway: guarded })).status, 403);
  await metricsOf(guarded, { authorization: `Bearer ${kToken}`, 'X-Forwarded-For': '192.0.2.1' });
  assert.ok(!guarded.log.includes(kToken));
});

test('telemetry tells of all gateways’ calls', async () => {
  const other = await world.startGateway();
  const [{ key }] = await world.database.query(
    `SELECT api_key AS key FROM holdfast.create_api_key($1, 'limited', p_requests_per_minute => 100)`,
    [world.organization.id],
  );
  await call({ key });
  const answer = await world.http('GET', '/api/ai/telemetry', { gateway: other }); // which has asked nothing yet
  assert.equal(answer.status, 200, answer.text);
  const { metrics, circuitBreakers, rateLimits } = answer.json;
  const openai = metrics.providers.openai;
  for (const name of ['p50', 'p90', 'p95', 'p99', 'mean']) assert.ok(openai.latency[name] >= 0, name);
  assert.ok(openai.errorRate >= 0 && openai.errorRate <= 1);
  assert.ok(openai.successCount >= 1);
  assert.ok(openai.costPerMToken > 0);
  assert.equal(typeof metrics.fallbacks, 'object');
  assert.ok(metrics.routing.shares.openai > 0);
  assert.equal(circuitBreakers.openai.state, 'closed');
  assert.ok(circuitBreakers.openai.failureRate >= 0 && circuitBreakers.openai.avgLatency >= 0);
  assert.ok(rateLimits.activeKeys > 0 && rateLimits.totalViolations >= 0);
  assert.equal((await world.http('GET', '/api/ai/telemetry', { key: null })).status, 401);
});

test('the full health names each part, and costs nothing', async () => {
  const answer = await world.http('GET', '/api/ai/health/full', { key: null });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.status, 'healthy', answer.text);
  assert.ok(answer.json.uptime >= 0);
  const { components } = answer.json;
  assert.deepEqual(Object.keys(components).sort(), ['circuitBreakers', 'database', 'environment', 'providers', 'rateLimiting', 'router']);
  for (const [name, component] of Object.entries(components)) assert.equal(component.status, 'healthy', name);
  assert.deepEqual(components.router.providers, ['openai']);
});

test('an open breaker shows everywhere', async () => {
  const fresh = await world.startGateway(); // which has asked nothing yet
  await world.database.query(`SELECT holdfast.breaker_report('openai', false, 1) FROM generate_series(1, 100)`);
  const health = await world.http('GET', '/api/ai/health/full', { key: null, gateway: fresh });
  assert.equal(health.json.status, 'degraded');
  assert.deepEqual(health.json.components.circuitBreakers.open, ['openai']);
  assert.equal(health.json.components.providers.providers.openai.status, 'unavailable');
  const { metrics } = await metricsOf(fresh);
  assert.equal(valueOf(metrics, 'holdfast_circuit_breaker_state', { provider: 'openai', state: 'open' }), 1);
});

test('the database goes and comes back, and the gateway follows by itself', async () => {
  const database = await Wire.to(world.database);
  const gateway = await world.startGateway({ database: database.conninfo });
  const health = () => world.http('GET', '/api/ai/health/full', { key: null, gateway });
  assert.equal((await health()).status, 200);
  database.cut();
  const eventually = async (status) => {
    for (let tries = 0; tries < 400; tries++) {
      const answer = await health();
      if (answer.status === status) return answer;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    return assert.fail(`the health stays other than ${status}`);
  };
  const away = await eventually(503);
  assert.equal(away.json.status, 'unhealthy');
  assert.equal(away.json.components.database.status, 'unreachable');
  assert.equal(valueOf((await metricsOf(gateway)).metrics, 'holdfast_database_up'), 0);
  database.mend();
  assert.equal((await eventually(200)).json.status, 'healthy');
  await gateway.stop();
  await database.close();
});
