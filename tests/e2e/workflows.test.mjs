// Workflows over HTTP: saved, run, watched, cancelled, approved.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { World } from './support/world.mjs';

const kModel = { provider: 'sandbox', model: 'gpt-4o-mini' };
const kDefinition = {
  name: 'greeting',
  version: '1',
  inputs: ['name'],
  steps: [
    { id: 'hello', ...kModel, input: { prompt: 'Greet {{input.name}}', maxTokens: 20 } },
    { id: 'shout', action: 'template', input: { template: '{{hello.output}}!' } },
  ],
  settings: { maxTotalCost: 0.01 },
};
const kAsking = {
  name: 'asking',
  steps: [
    { id: 'draft', action: 'template', input: { template: 'draft' } },
    { id: 'send', action: 'template', approval: true, input: { template: 'sent {{draft.output}}' } },
  ],
};

let world;
before(async () => (world = await World.create({ providerKey: null, flags: ['--run-steps', '4'] })));
afterEach(() => world.verify());
after(() => world.close());

const post = (path, body, options = {}) => world.http('POST', `/api/workflows/${path}`, { body, ...options });
const get = (path, options = {}) => world.http('GET', `/api/workflows/${path}`, options);

// The run's one call, as the ledger has it.
async function expectCalls(run) {
  for (const { promptTokens, completionTokens } of run.steps.filter(({ provider }) => provider)) {
    world.expectEntry({
      model: 'gpt-4o-mini',
      provider: 'sandbox',
      usage: { prompt: promptTokens, completion: completionTokens },
    });
  }
}

// The events of a stream, read to its end: [{id, event, data}].
async function readEvents(path, headers = {}) {
  const { status, text } = await get(path, { headers });
  assert.equal(status, 200, text);
  return text
    .split('\n\n')
    .filter((block) => block.startsWith('id: '))
    .map((block) => {
      const [, id, event, data] = /^id: (\d+)\nevent: (.+)\ndata: (.+)$/.exec(block);
      return { id: Number(id), event, data: JSON.parse(data) };
    });
}

test('a saved workflow is run by id, by name and once for a key', async () => {
  const saved = await post('create', kDefinition);
  assert.equal(saved.status, 200, saved.text);
  assert.deepEqual((({ success, name, version, duplicate }) => ({ success, name, version, duplicate }))(saved.json), {
    success: true,
    name: 'greeting',
    version: '1',
    duplicate: false,
  });
  const list = await get('list');
  assert.equal(list.json.total, 1);
  assert.deepEqual(list.json.workflows[0].definition.steps.length, 2);

  const headers = { 'idempotency-key': 'once' };
  const order = { workflowId: saved.json.workflowId, userId: 'ada', input: { name: 'Bob' } };
  const first = await post('run', order, { headers });
  assert.equal(first.status, 200, first.text);
  assert.equal(first.json.success, true);
  assert.equal(first.json.status, 'completed');
  assert.match(first.json.steps[1].output, /!$/);
  assert.match(first.text, /"totalCostUSD":0\.0\d+/);
  assert.ok(first.json.totalLatencyMs >= 0);
  await expectCalls(first.json);
  const again = await post('run', order, { headers });
  assert.equal(again.json.runId, first.json.runId);
  assert.equal(again.headers.get('idempotent-replay'), 'true');
  assert.equal((await post('run', { ...order, userId: 'eve' }, { headers })).status, 409);

  const named = await post('run', { workflow: 'greeting', input: { name: 'Eve' } });
  await expectCalls(named.json);
  const runs = await get(`runs?workflowId=${saved.json.workflowId}&userId=ada`);
  assert.deepEqual(runs.json.runs.map(({ runId }) => runId), [first.json.runId]);
  assert.equal((await get('runs?limit=1')).json.runs[0].runId, named.json.runId);
});

test('a run that is not waited for is watched by events, from any event on', async () => {
  const started = await post('run', { workflow: kDefinition, input: { name: 'Bob' }, wait: false });
  assert.ok([200, 202].includes(started.status), started.text); // it may have ended by then
  const events = await readEvents(`runs/${started.json.runId}/events`);
  assert.deepEqual(events.map(({ id }) => id), events.map((_, index) => index + 1));
  assert.deepEqual(
    events.map(({ event, data }) => `${event} ${data.step ?? ''}`.trim()),
    ['run.started', 'step.ready hello', 'step.started hello', 'step.completed hello', 'step.completed shout', 'run.completed'],
  );
  const rest = await readEvents(`runs/${started.json.runId}/events`, { 'last-event-id': '4' });
  assert.deepEqual(rest, events.slice(4));
  const run = await get(`runs/${started.json.runId}`);
  assert.equal(run.json.status, 'completed');
  await expectCalls(run.json);
});

test('a step waits for its approval, and a run can be cancelled', async () => {
  const asking = await post('run', { workflow: kAsking });
  assert.equal(asking.status, 202, asking.text);
  assert.equal(asking.json.status, 'waiting');
  const member = await post(`runs/${asking.json.runId}/approve`, { stepId: 'send' });
  assert.equal(member.status, 403, member.text);
  const { api_key: admin } = (
    await world.database.query(`SELECT api_key FROM holdfast.create_api_key($1, 'admin', 'ann', 'admin')`, [
      world.organization.id,
    ])
  )[0];
  const approved = await post(`runs/${asking.json.runId}/approve`, { stepId: 'send' }, { key: admin });
  assert.equal(approved.json.steps[1].output, 'sent draft', approved.text);
  assert.equal((await post(`runs/${asking.json.runId}/approve`, { stepId: 'send' }, { key: admin })).status, 409);

  const other = await post('run', { workflow: { ...kAsking, version: '2' } });
  const cancelled = await post(`runs/${other.json.runId}/cancel`, { reason: 'no' });
  assert.equal(cancelled.status, 200, cancelled.text);
  assert.equal(cancelled.json.status, 'cancelled');
  assert.equal((await post(`runs/${asking.json.runId}/cancel`, {})).status, 409);
});

test('what is wrong is said, and changes nothing', async () => {
  const before = (await get('runs')).json.total;
  const steps = [{ id: 'a', input: { prompt: '{{b.output}}' } }];
  const refused = await post('create', { name: 'w', steps });
  assert.equal(refused.status, 422, refused.text);
  assert.deepEqual([refused.json.code, refused.json.step, refused.json.fault], ['invalid_definition', 'a', 'unknown_variable']);
  assert.equal((await post('create', { ...kDefinition, settings: {} })).status, 409);
  const sending = await post('run', { workflow: { name: 'w', steps: [{ id: 'a', action: 'deliver', input: { document: {} } }] } });
  assert.deepEqual([sending.status, sending.json.fault], [422, 'unknown_action'], sending.text);
  assert.equal((await post('run', { workflow: { name: 'w', steps } })).status, 422);
  assert.equal((await post('run', {})).json.code, 'bad_value');
  assert.equal((await post('run', { workflow: 'greeting', workflowId: world.organization.id })).status, 400);
  assert.equal((await post('run', { workflow: 'nobody' })).status, 404);
  const missing = await post('run', { workflow: 'greeting' });
  assert.deepEqual([missing.status, missing.json.field], [400, 'input.name']);
  assert.equal((await post('run', { workflow: 'greeting', input: [] })).status, 400);
  assert.equal((await get(`runs/${world.organization.id}`)).status, 404);
  assert.equal((await get(`runs/${world.organization.id}/events`)).status, 404);
  assert.equal((await get('runs/nonsense')).status, 400);
  assert.equal((await get('runs?limit=0')).status, 400);
  assert.equal((await get('runs', { key: null })).status, 401);
  assert.equal((await post('runs', {})).status, 405);
  const stranger = await world.database.organization();
  const [{ runId }] = (await get('runs')).json.runs;
  assert.equal((await get(`runs/${runId}`, { key: stranger.key })).status, 404);
  assert.equal((await get('runs')).json.total, before);
});

test('a budget that does not hold the run refuses it with 402', async () => {
  const { id } = world.organization;
  await world.database.query('SELECT holdfast.set_budget($1, 0.005)', [id]);
  const refused = await post('run', { workflow: 'greeting', input: { name: 'Bob' } });
  assert.equal(refused.status, 402, refused.text);
  assert.deepEqual([refused.json.code, refused.json.scope], ['budget_exceeded', 'organization']);
  assert.ok(refused.json.runId);
  await world.database.query('SELECT holdfast.set_budget($1, NULL)', [id]);
});

test('a run that may cost nothing asks no budget, and calls nobody', async () => {
  const { id } = world.organization;
  await world.database.query('SELECT holdfast.set_budget($1, 0)', [id]);
  const local = await post('run', { workflow: { name: 'local', steps: [kAsking.steps[0]] } });
  assert.deepEqual([local.status, local.json.status, local.json.totalCostUSD], [200, 'completed', 0], local.text);
  const calling = await post('run', { workflow: { ...kDefinition, settings: { maxTotalCost: 0 } }, input: { name: 'Bob' } });
  assert.deepEqual([calling.status, calling.json.success, calling.json.status], [200, false, 'failed'], calling.text);
  assert.deepEqual([calling.json.runError.code, calling.json.runError.scope, calling.json.totalCostUSD], ['budget_exceeded', 'run', 0]);
  await world.database.query('SELECT holdfast.set_budget($1, NULL)', [id]);
});
