// One workflow over many inputs: begun a few at once, watched, cancelled, and carried on when a gateway is killed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fixture, usageOf } from './support/fixtures.mjs';
import { World } from './support/world.mjs';

const kWorkflow = {
  name: 'greet',
  inputs: ['name'],
  steps: [{ id: 'hello', provider: 'openai', model: 'gpt-5-nano', input: { prompt: 'Greet {{input.name}}', maxTokens: 100 } }],
  settings: { maxTotalCost: 0.01, timeout: 60000 },
};
const kMany = Number(process.env.BATCH_INPUTS ?? 300);
const kLocal = { name: 'local', steps: [{ id: 'a', action: 'template', input: { template: '<{{input.x}}>' } }] };

let world;
before(async () => {
  world = await World.create({ flags: ['--run-steps', '8', '--run-lease-ms', '1000'] });
  await world.database.query(`SELECT holdfast.set_rate_limit('workflow', 50)`);
});
after(() => world.close());

const post = (path, body, options = {}) => world.http('POST', `/api/workflows/batches${path}`, { body, ...options });
const get = (path, options = {}) => world.http('GET', `/api/workflows/batches${path}`, options);
const named = (count) => Array.from({ length: count }, (_, index) => ({ name: `n${index}` }));

// The events of a batch, read to its end.
async function watch(batchId, gateway = world.gateway) {
  const { status, text } = await get(`/${batchId}/events`, { gateway });
  assert.equal(status, 200, text);
  return text
    .split('\n\n')
    .filter((block) => block.startsWith('event: '))
    .map((block) => {
      const [, event, data] = /^event: (.+)\ndata: (.+)$/.exec(block);
      return { event, data: JSON.parse(data) };
    });
}

function expectCharges(count) {
  for (let i = 0; i < count; i++) world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
}

test('a batch runs every input once, under one hold, and tells how far it is', async () => {
  world.replay.always('chat_basic');
  const headers = { 'idempotency-key': 'once' };
  const order = { workflow: kWorkflow, inputs: named(12), maxActive: 4, userId: 'ada' };
  const begun = await post('', order, { headers });
  assert.equal(begun.status, 202, begun.text);
  assert.deepEqual([begun.json.inputs, begun.json.maxActive, begun.json.maxCostUSD], [12, 4, 0.12]);
  assert.deepEqual([begun.headers.get('ratelimit-limit'), begun.headers.get('ratelimit-remaining')], ['50', '49']);
  const again = await post('', order, { headers });
  assert.deepEqual([again.json.batchId, again.headers.get('idempotent-replay')], [begun.json.batchId, 'true']);
  const events = await watch(begun.json.batchId);
  for (const { data } of events) assert.ok(data.running <= 4, JSON.stringify(data));
  const { event, data } = events.at(-1);
  assert.deepEqual([event, data.completed, data.pending, data.heldUSD], ['batch.completed', 12, 0, 0]);
  assert.equal((await get(`/${begun.json.batchId}`)).json.status, 'completed');
  expectCharges(12);

  // Pages of results: every input once, in its order.
  const seen = [];
  for (let after = 0; after !== null; ) {
    const page = await get(`/${begun.json.batchId}/results?after=${after}&limit=5`);
    seen.push(...page.json.results);
    after = page.json.next;
  }
  assert.deepEqual(seen.map(({ inputNo, input, status }) => [inputNo, input, status]),
    named(12).map((input, index) => [index + 1, input, 'completed']));
  assert.ok(seen.every(({ steps }) => steps[0].output.length > 0));
  assert.equal((await get('')).json.batches[0].batchId, begun.json.batchId);
  await world.verify();
});

test('cancelled while its calls are under way, it begins no more and pays for those', async () => {
  const planned = [0, 1].map(() => world.replay.next('chat_basic', { waits: true }));
  world.replay.always(null);
  const begun = await post('', { workflow: kWorkflow, inputs: named(6), maxActive: 2 });
  await Promise.all(planned.map(({ arrived }) => arrived));
  const cancelled = await post(`/${begun.json.batchId}/cancel`, { reason: 'enough' });
  assert.deepEqual([cancelled.json.status, cancelled.json.cancelled, cancelled.json.pending], ['cancelled', 2, 4]);
  planned.forEach(({ release }) => release());
  await world.settled();
  assert.deepEqual((await watch(begun.json.batchId)).map(({ event }) => event), ['batch.cancelled']);
  expectCharges(2);
  await world.verify();
  const ended = (await get('')).json.batches.find(({ status }) => status === 'completed');
  assert.equal((await post(`/${ended.batchId}/cancel`, {})).status, 409);
});

test('a gateway that is killed in the middle of it leaves the rest to another', async () => {
  const planned = [0, 1, 2].map(() => world.replay.next('chat_basic', { waits: true }));
  world.replay.always('chat_basic');
  const begun = await post('', { workflow: kWorkflow, inputs: named(9), maxActive: 3 });
  await Promise.all(planned.map(({ arrived }) => arrived));
  world.gateway.signal('SIGKILL');
  await world.gateway.ended;
  world.gateway = await world.startGateway({ flags: ['--run-steps', '8', '--run-lease-ms', '1000'] });
  const { event, data } = (await watch(begun.json.batchId)).at(-1);
  assert.deepEqual([event, data.completed], ['batch.completed', 9]);
  const [{ lost }] = await world.database.query(
    `SELECT count(*)::int AS lost FROM holdfast.unresolved_calls u JOIN holdfast.workflow_run_attempts a
     ON a.hold_id = u.hold_id WHERE a.outcome = 'lost' AND u.most_usd = trim_scale(a.amount)`,
  );
  assert.equal(lost, 3);
  expectCharges(9);
  await world.verify();
});

// BATCH_INPUTS=10000 for the largest that there can be: how long it takes is told.
for (const [what, workflow, maxActive] of [['need no provider', kLocal, 100], ['call a provider', kWorkflow, 16]])
  test(`${kMany} runs that ${what}`, async () => {
    world.replay.always('chat_basic');
    const inputs = Array.from({ length: kMany }, (_, x) => (workflow === kLocal ? { x } : { name: `n${x}` }));
    const since = performance.now();
    const begun = await post('', { workflow, inputs, maxActive });
    assert.equal(begun.status, 202, begun.text);
    const accepted = performance.now();
    const events = await watch(begun.json.batchId);
    assert.equal(events.at(-1).data.completed, kMany);
    const ended = performance.now();
    const { json } = await get(`/${begun.json.batchId}/results?after=${kMany - 1}`);
    assert.deepEqual([json.results[0].input, json.results[0].status, json.next], [inputs.at(-1), 'completed', null]);
    if (workflow === kWorkflow) expectCharges(kMany);
    await world.verify();
    console.log(`${kMany} runs that ${what}: begun in ${Math.round(accepted - since)} ms, ended after ${Math.round(ended - since)} ms, ${events.length} events`);
  });

test('what is wrong is said, and holds nothing', async () => {
  const bad = await post('', { workflow: kWorkflow, inputs: [{ name: 'a' }, {}] });
  assert.equal(bad.status, 400, bad.text);
  assert.match(bad.json.error, /Input 2/);
  assert.equal((await post('', { workflow: kWorkflow })).json.param, 'inputs');
  assert.equal((await post('', { workflow: kWorkflow, inputs: [] })).status, 400);
  assert.equal((await post('', { workflow: kWorkflow, inputs: named(1), maxActive: 101 })).status, 400);
  assert.equal((await post('', { workflow: kWorkflow, inputs: named(1), maxTotalCost: 'much' })).status, 400);
  assert.equal((await post('', { workflow: 'nobody', inputs: named(1) })).status, 404);
  assert.equal((await get(`/${world.organization.id}`)).status, 404);
  assert.equal((await get(`/${world.organization.id}/events`)).status, 404);
  const [{ batchId }] = (await get('')).json.batches;
  assert.equal((await get(`/${batchId}/results?status=odd`)).status, 400);
  const stranger = await world.database.organization();
  assert.equal((await get(`/${batchId}`, { key: stranger.key })).status, 404);
  await world.database.query('SELECT holdfast.set_budget($1, 0.005)', [world.organization.id]);
  const refused = await post('', { workflow: kWorkflow, inputs: named(3) });
  assert.deepEqual([refused.status, refused.json.code], [402, 'budget_exceeded'], refused.text);
  assert.ok(refused.json.batchId);
  await world.database.query('SELECT holdfast.set_budget($1, NULL)', [world.organization.id]);
  await world.verify();
});

test('who begins too many is told so by 429', async () => {
  await world.database.query(`SELECT holdfast.set_rate_limit('workflow', 1)`);
  const body = { workflow: kLocal, input: { x: 1 }, userId: 'bob' };
  const first = await world.http('POST', '/api/workflows/run', { body });
  assert.equal(first.status, 200, first.text);
  assert.equal(first.headers.get('ratelimit-remaining'), '0');
  for (const [path, more] of [['run', {}], ['batches', { inputs: [{ x: 1 }] }]]) {
    const { input, ...order } = { ...body, ...more };
    const refused = await world.http('POST', `/api/workflows/${path}`, { body: path === 'run' ? body : order });
    assert.deepEqual([refused.status, refused.json.code, refused.json.layer], [429, 'rate_limited', 'workflow'], refused.text);
    assert.ok(input && Number(refused.headers.get('retry-after')) > 0);
  }
  await world.database.query(`SELECT holdfast.reset_rate_limit('workflow')`);
});
