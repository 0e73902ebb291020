// Variants of a step compared by what became of their runs, and runs that are run once more.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { decimal, usd } from './support/money.mjs';
import { World } from './support/world.mjs';

const kModel = { provider: 'sandbox', model: 'gpt-4o-mini' };
const kDefinition = {
  name: 'pitch',
  inputs: ['name'],
  steps: [
    {
      id: 'say',
      ...kModel,
      input: { prompt: 'Greet {{input.name}}', maxTokens: 20 },
      variants: [{ id: 'warm', input: { prompt: 'Greet {{input.name}} warmly', maxTokens: 30 } }, { id: 'plain' }],
    },
    { id: 'last', action: 'template', input: { template: '{{say.output}}.' } },
  ],
  settings: { maxTotalCost: 0.01 },
};
const kAsking = { name: 'asking', steps: [{ id: 'a', action: 'template', approval: true, input: { template: 'x' } }] };

let world;
let workflowId;
before(async () => {
  world = await World.create({ providerKey: null, flags: ['--run-steps', '4'] });
  const saved = await post('create', kDefinition);
  assert.equal(saved.status, 200, saved.text);
  workflowId = saved.json.workflowId;
});
afterEach(() => world.verify());
after(() => world.close());

const post = (path, body, options = {}) => world.http('POST', `/api/workflows/${path}`, { body, ...options });
const get = (path, options = {}) => world.http('GET', `/api/workflows/${path}`, options);
const variants = async (more = '') => (await get(`variants?workflowId=${workflowId}${more}`)).json.variants;

async function run(splitKey) {
  const { status, text, json } = await post('run', { workflowId, splitKey, input: { name: splitKey } });
  assert.equal(status, 200, text);
  expectCall(json);
  return json;
}

function expectCall({ steps: [{ promptTokens, completionTokens }] }) {
  world.expectEntry({ model: 'gpt-4o-mini', provider: 'sandbox', usage: { prompt: promptTokens, completion: completionTokens } });
}

test('a key draws the same variant each time, and variants are compared by cost and outcomes', async () => {
  const runs = [];
  for (let i = 0; i < 8; i++) runs.push(await run(`user ${i}`));
  for (let i = 0; i < 8; i++) {
    const again = await run(`user ${i}`);
    assert.equal(again.steps[0].variant, runs[i].steps[0].variant);
    runs.push(again);
  }
  const outcomeOf = (index) => (index % 3 === 0 ? { outcome: 'answered', score: 4.5 } : { outcome: 'ignored' });
  for (const [index, { runId }] of runs.entries()) {
    const kept = await post(`runs/${runId}/outcome`, outcomeOf(index));
    assert.equal(kept.status, 200, kept.text);
    assert.deepEqual([kept.json.runId, kept.json.outcome, kept.json.score], [runId, outcomeOf(index).outcome, outcomeOf(index).score ?? null]);
  }
  const compared = await variants('&stepId=say');
  for (const name of ['warm', 'plain']) {
    const own = [...runs.entries()].filter(([, { steps }]) => steps[0].variant === name);
    assert.ok(own.length > 0, `no key draws ${name}`);
    const result = compared.find(({ variant }) => variant === name);
    assert.deepEqual([result.step, result.runs, result.completed, result.failed], ['say', own.length, own.length, 0]);
    const outcomes = {};
    for (const [index] of own) outcomes[outcomeOf(index).outcome] = (outcomes[outcomeOf(index).outcome] ?? 0) + 1;
    assert.deepEqual(result.outcomes, outcomes);
    assert.equal(result.scored, outcomes.answered ?? 0);
    if (result.scored > 0) assert.equal(result.meanScore, 4.5);
    const cost = await world.database.value(
      `SELECT sum(cost)::text FROM holdfast.ai_workflow_runs r, holdfast.ai_usage_ledger l
       WHERE r.run_id = ANY ($1) AND l.id IN (SELECT hold_id FROM holdfast.workflow_run_attempts a WHERE a.run_id = r.run_id)`,
      [own.map(([, { runId }]) => runId)],
    );
    assert.equal(decimal(usd(String(result.costUSD))), decimal(usd(cost)));
  }
  assert.deepEqual(await variants('&stepId=last'), []);
});

test('an outcome is kept once, and by the run’s own organization', async () => {
  const { runId } = await run('once');
  const kept = { outcome: 'answered', score: 1 };
  for (let i = 0; i < 2; i++) assert.equal((await post(`runs/${runId}/outcome`, kept)).status, 200);
  assert.equal((await post(`runs/${runId}/outcome`, { outcome: 'ignored' })).status, 409);
  for (const bad of [{}, { outcome: '' }, { outcome: 'x'.repeat(256) }, { outcome: 'x', score: 'high' }])
    assert.equal((await post(`runs/${runId}/outcome`, bad)).status, 400, JSON.stringify(bad));
  const { key } = await world.database.organization();
  assert.equal((await post(`runs/${runId}/outcome`, kept, { key })).status, 404);
  assert.equal((await get(`variants?workflowId=${workflowId}`, { key })).status, 404);
  assert.equal((await get('variants')).status, 400);
});

test('a run is run once more from the answers that were kept, at once and for nothing', async () => {
  const first = await run('kept');
  const before = await variants();
  const { status, text, json } = await post('replay', { replayToken: first.replayToken });
  assert.equal(status, 200, text);
  assert.deepEqual([json.status, json.totalCostUSD, json.replayOf, json.workflowId], ['completed', 0, first.runId, workflowId]);
  assert.deepEqual(json.steps.map(({ id, output, variant, cached }) => [id, output, variant, cached]), [
    ['say', first.steps[0].output, first.steps[0].variant, true],
    ['last', first.steps[1].output, undefined, false],
  ]);
  assert.notEqual(json.runId, first.runId);
  assert.deepEqual(await variants(), before); // replays do not count
});

test('a run is run once more against the providers, once for a key', async () => {
  const first = await run('anew');
  const headers = { 'idempotency-key': 'again' };
  const order = { replayToken: first.replayToken, mode: 'providers' };
  const again = await post('replay', order, { headers });
  assert.equal(again.status, 200, again.text);
  assert.deepEqual([again.json.status, again.json.replayOf, again.json.steps[0].variant], ['completed', first.runId, first.steps[0].variant]);
  expectCall(again.json);
  const repeat = await post('replay', order, { headers });
  assert.deepEqual([repeat.json.runId, repeat.headers.get('idempotent-replay')], [again.json.runId, 'true']);
  const started = await post('replay', { ...order, wait: false });
  assert.ok([200, 202].includes(started.status), started.text); // it may have ended by then
  await world.settled();
  expectCall((await get(`runs/${started.json.runId}`)).json);
});

test('what cannot be run once more is said, and costs nothing', async () => {
  const { replayToken } = await run('refused');
  assert.equal((await post('replay', {})).status, 400);
  assert.equal((await post('replay', { replayToken: 'nonsense' })).status, 400);
  assert.equal((await post('replay', { replayToken, mode: 'half' })).json.param, 'mode');
  assert.equal((await post('replay', { replayToken: world.organization.id })).status, 404);
  const { key } = await world.database.organization();
  assert.equal((await post('replay', { replayToken }, { key })).status, 404);

  const asking = await post('run', { workflow: kAsking });
  assert.equal(asking.json.status, 'waiting', asking.text);
  assert.equal((await post('replay', { replayToken: asking.json.replayToken })).status, 409);
  await post(`runs/${asking.json.runId}/cancel`, {});

  await world.database.query('SELECT holdfast.set_budget($1, 0.001)', [world.organization.id]);
  const poor = await post('replay', { replayToken, mode: 'providers' });
  assert.deepEqual([poor.status, poor.json.code, poor.json.scope], [402, 'budget_exceeded', 'organization'], poor.text);
  assert.equal((await post('replay', { replayToken })).status, 200);
  await world.database.query('SELECT holdfast.set_budget($1, NULL)', [world.organization.id]);

  await world.database.query(`SELECT holdfast.set_rate_limit('workflow', 1)`);
  const limited = await run('limited');
  const refused = await post('replay', { replayToken: limited.replayToken, mode: 'providers' });
  assert.deepEqual([refused.status, refused.json.layer], [429, 'workflow'], refused.text);
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  await world.database.query(`SELECT holdfast.set_rate_limit('workflow', NULL)`);
});
