// How often callers may call, whom a gateway takes for the client, and keys that end: the same through every gateway.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { fixture, usageOf } from './support/fixtures.mjs';
import { Gateway } from './support/gateway.mjs';
import { World } from './support/world.mjs';

const kUsage = usageOf(fixture('chat_basic'));
const kAtOnce = 64;
const kLimit = 10;
const kTrusting = ['--trusted-proxies', '127.0.0.0/8'];

let world;
before(async () => (world = await World.create({ flags: kTrusting })));
afterEach(() => world.verify());
after(() => world.close());

function ask(headers = {}, gateway = world.gateway, key = world.organization.key) {
  return fetch(`${gateway.baseUrl}/api/ai/generate`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ prompt: 'Hello!', model: 'gpt-5-nano', provider: 'openai', maxTokens: 400 }),
  });
}

async function answered(response) {
  assert.equal(response.status, 200, await response.text());
  world.expectEntry({ model: 'gpt-5-nano', usage: kUsage });
  return response;
}

// Sets the limit of a layer for the time of `body`.
async function limited(layer, requests, body) {
  await world.database.query('SELECT holdfast.set_rate_limit($1, $2)', [layer, requests]);
  try {
    await body();
  } finally {
    await world.database.query('SELECT holdfast.set_rate_limit($1, NULL)', [layer]);
  }
}

test('who calls too often is told so by 429, with what is left and when to come back', async () => {
  await limited('user', 2, async () => {
    const other = await world.startGateway();
    for (const [gateway, left] of [[world.gateway, '1'], [other, '0']]) {
      world.replay.next('chat_basic');
      const response = await answered(await ask({ 'X-Holdfast-User': 'ada' }, gateway));
      assert.equal(response.headers.get('ratelimit-limit'), '2');
      assert.equal(response.headers.get('ratelimit-remaining'), left);
      assert.ok(Number.parseInt(response.headers.get('ratelimit-reset'), 10) <= 61);
    }
    for (const gateway of [other, world.gateway]) {
      const response = await ask({ 'X-Holdfast-User': 'ada' }, gateway);
      assert.equal(response.status, 429);
      assert.equal(response.headers.get('ratelimit-remaining'), '0');
      const wait = Number.parseInt(response.headers.get('retry-after'), 10);
      assert.ok(wait >= 1 && wait <= 61, `${wait} s`);
      const error = await response.json();
      assert.equal(error.code, 'rate_limited');
      assert.equal(error.layer, 'user');
    }
    world.replay.next('chat_basic');
    await answered(await ask({ 'X-Holdfast-User': 'bob' }));
  });
  const denials = await world.database.query(
    `SELECT detail ->> 'layer' AS layer, route, user_id, detail ->> 'ip' AS ip FROM holdfast.ai_audit_log
      WHERE event = 'limited' ORDER BY audit_id`);
  assert.deepEqual(denials, Array(2).fill(
    { layer: 'user', route: 'POST /api/ai/generate', user_id: 'ada', ip: '127.0.0.1' }));
});

for (const [layer, callerOf] of Object.entries({
  user: async () => [{ 'X-Holdfast-User': 'many' }],
  ip: async () => [{ 'X-Forwarded-For': '198.51.100.64' }],
  api_key: async () => [{}, (await world.database.key(world.organization.id)).key],
  provider: async () => [{}],
  global: async () => [{}],
})) {
  test(`of ${kAtOnce} at once through two gateways, one ${layer} is admitted as often as its limit says`, async () => {
    await limited(layer, kLimit, async () => {
      const gateways = [world.gateway, await world.startGateway({ flags: kTrusting })];
      const [headers, key] = await callerOf();
      for (let calls = 0; calls < kLimit; calls++) world.replay.next('chat_basic'); // one more would be unplanned
      const responses = await Promise.all(Array.from({ length: kAtOnce }, (_, call) => ask(headers, gateways[call % 2], key)));
      const statuses = responses.map(({ status }) => status).sort();
      assert.deepEqual(statuses, [...Array(kLimit).fill(200), ...Array(kAtOnce - kLimit).fill(429)]);
      await Promise.all(responses.map((response) => response.arrayBuffer()));
      for (let calls = 0; calls < kLimit; calls++) world.expectEntry({ model: 'gpt-5-nano', usage: kUsage });
    });
  });
}

test(`of ${kAtOnce} runs begun at once through two gateways, as many begin as the limit says`, async () => {
  await limited('workflow', kLimit, async () => {
    const gateways = [world.gateway, await world.startGateway()];
    const workflow = { name: 'local', steps: [{ id: 'draft', action: 'template', input: { template: 'draft' } }] };
    const answers = await Promise.all(Array.from({ length: kAtOnce }, (_, call) =>
      world.http('POST', '/api/workflows/run', { gateway: gateways[call % 2], body: { workflow, userId: 'ada' } })));
    const statuses = answers.map(({ status }) => status).sort();
    assert.deepEqual(statuses, [...Array(kLimit).fill(200), ...Array(kAtOnce - kLimit).fill(429)], answers[0].text);
    for (const { status, json } of answers) if (status === 429) assert.equal(json.layer, 'workflow');
  });
});

test('behind a trusted proxy the client is whom it names, else whoever connects', async () => {
  const plain = await world.startGateway();
  await limited('ip', 1, async () => {
    for (const client of ['192.0.2.1', '192.0.2.2']) {
      world.replay.next('chat_basic');
      await answered(await ask({ 'X-Forwarded-For': `203.0.113.9, ${client}` }));
    }
    assert.equal((await ask({ 'X-Forwarded-For': '192.0.2.2' })).status, 429);
    world.replay.next('chat_basic');
    await answered(await ask({ 'X-Forwarded-For': '192.0.2.3' }, plain));
    assert.equal((await ask({ 'X-Forwarded-For': '192.0.2.4' }, plain)).status, 429);
  });
});

test('a key that was revoked or rotated is refused by every gateway at once', async () => {
  const other = await world.startGateway();
  const { key, keyId } = await world.database.key(world.organization.id);
  for (const gateway of [world.gateway, other]) {
    world.replay.next('chat_basic');
    await answered(await ask({}, gateway, key));
  }
  const [turned] = await world.database.query('SELECT * FROM holdfast.rotate_api_key($1, $2)', [keyId, world.organization.id]);
  for (const gateway of [world.gateway, other]) {
    assert.equal((await ask({}, gateway, key)).status, 401);
    world.replay.next('chat_basic');
    await answered(await ask({}, gateway, turned.api_key));
  }
  await world.database.query('SELECT holdfast.revoke_api_key($1, $2)', [turned.api_key_id, world.organization.id]);
  for (const gateway of [world.gateway, other]) {
    assert.equal((await ask({}, gateway, turned.api_key)).status, 401);
    const models = await fetch(`${gateway.baseUrl}/v1/models`, { headers: { Authorization: `Bearer ${turned.api_key}` } });
    assert.equal(models.status, 401);
  }
});

test('a provider whose calls fail is left alone, through every gateway', async () => {
  const other = await world.startGateway();
  await world.database.query(`SELECT holdfast.reset_breaker('openai')`); // the good calls of other tests
  for (let i = 0; i < 10; i++) {
    world.replay.next('chat_basic', { status: 500 });
    assert.equal((await ask({}, i % 2 === 0 ? world.gateway : other)).status, 502);
  }
  for (const gateway of [world.gateway, other]) {
    const response = await ask({}, gateway);
    assert.equal(response.status, 503);
    assert.ok(Number.parseInt(response.headers.get('retry-after'), 10) >= 1);
    const error = await response.json();
    assert.equal(error.code, 'circuit_open');
    assert.equal(error.provider, 'openai');
  }
  await world.database.query(`SELECT holdfast.reset_breaker('openai')`);
  world.replay.next('chat_basic');
  await answered(await ask());
});

test('a gateway that is told of other limits than the database keeps does not start, and says what changes them', async () => {
  const start = (env) => Gateway.run(['--listen', '127.0.0.1:0', '--database', world.database.conninfo], env);
  for (const [variable, value, statement] of [
    ['ORCHESTRATOR_RATE_LIMIT_USER_RPM', '7', "holdfast.set_rate_limit('user', 7)"],
    ['ORCHESTRATOR_RATE_LIMIT_GLOBAL_RPM', '8', "holdfast.set_rate_limit('global', 8)"],
    ['ORCHESTRATOR_CIRCUIT_BREAKER_THRESHOLD', '51', 'ALTER SYSTEM SET holdfast.breaker_threshold_percent = 51'],
    ['ORCHESTRATOR_CIRCUIT_BREAKER_COOLDOWN_MS', '1', 'ALTER SYSTEM SET holdfast.breaker_open_ms = 1'],
    ['ORCHESTRATOR_MAX_WORKFLOW_STEPS', '21', 'ALTER SYSTEM SET holdfast.max_workflow_steps = 21'],
    ['ORCHESTRATOR_MAX_WORKFLOW_COST', '1.50', 'ALTER SYSTEM SET holdfast.max_workflow_cost = 1.5'],
    ['ORCHESTRATOR_MAX_WORKFLOW_RUNTIME_MS', '1', 'ALTER SYSTEM SET holdfast.max_workflow_runtime_ms = 1'],
  ]) {
    const { code, stderr } = await start({ [variable]: value });
    assert.equal(code, 1, stderr);
    assert.ok(stderr.includes(variable) && stderr.includes(statement), stderr);
  }
  await limited('user', 7, () =>
    world.startGateway({
      env: {
        ORCHESTRATOR_RATE_LIMIT_USER_RPM: '7',
        ORCHESTRATOR_CIRCUIT_BREAKER_THRESHOLD: '50',
        ORCHESTRATOR_CIRCUIT_BREAKER_COOLDOWN_MS: '60000',
        ORCHESTRATOR_MAX_WORKFLOW_STEPS: '20',
        ORCHESTRATOR_MAX_WORKFLOW_COST: '1', // as 1.00 is
        ORCHESTRATOR_MAX_WORKFLOW_RUNTIME_MS: '300000',
      },
    }),
  );
});
