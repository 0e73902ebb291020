// The steps of runs reach providers as any other call does: tried again, handed on, left waiting, and each attempt that
// was charged is settled.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { expectedOf, fixture, usageOf } from './support/fixtures.mjs';
import { decimal, usd } from './support/money.mjs';
import { World } from './support/world.mjs';

const kPerplexity = { provider: 'perplexity', model: 'sonar' };
const kStep = { id: 'icp', ...kPerplexity, fallback: [{ model: 'gpt-5-nano' }], input: { prompt: 'Who?', maxTokens: 700 } };
const kWorkflow = { name: 'icp', steps: [kStep], settings: { maxTotalCost: 0.1 } };
const kOpenAi = { provider: 'openai', model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) };
const kSonar = { ...kPerplexity, usage: expectedOf('perplexity/chat_basic').usage };

let world;
before(async () => {
  world = await World.create({ everyProvider: true, flags: ['--run-steps', '4'] });
  world.prices['perplexity/sonar'] = { input: '1', output: '1' };
});
afterEach(() => world.verify());
after(() => world.close());

const run = (workflow = kWorkflow) => world.http('POST', '/api/workflows/run', { body: { workflow } });
const breaker = (provider) => world.database.query('SELECT calls, failure_rate FROM holdfast.breakers() WHERE provider = $1', [provider]);

test('a step’s own provider answers while it can, and its breaker hears of it', async () => {
  world.replay.next('perplexity/chat_basic');
  const { status, json, text } = await run();
  assert.equal(status, 200, text);
  assert.deepEqual([json.steps[0].provider, json.steps[0].fallbackUsed], ['perplexity', false]);
  assert.deepEqual(await breaker('perplexity'), [{ calls: 1, failure_rate: 0 }]);
  world.expectEntry(kSonar);
});

test('when it fails the next one answers, under the model’s own name', async () => {
  world.replay.next('perplexity/chat_basic', { status: 503 });
  const second = world.replay.next('chat_basic');
  const { json, text } = await run();
  assert.equal(json.status, 'completed', text);
  assert.deepEqual([json.steps[0].provider, json.steps[0].fallbackUsed, json.steps[0].attempts], ['openai', true, 2]);
  assert.equal((await second.arrived).body.model, 'gpt-5-nano');
  assert.deepEqual(await breaker('perplexity'), [{ calls: 1, failure_rate: 1 }]);
  world.expectEntry({ ...kOpenAi, fallback: true });
});

test('an attempt that was charged before it failed is settled beside the one that answers', async () => {
  world.replay.next('perplexity/chat_basic', { cutAfterBytes: 60 });
  world.replay.next('chat_basic');
  const { json, text } = await run();
  assert.equal(json.status, 'completed', text);
  const entries = await world.takeEntries();
  assert.deepEqual(
    entries.map(({ provider, fallback, estimated }) => [provider, fallback, estimated]).sort(),
    [['openai', true, false], ['perplexity', false, true]],
  );
  const total = entries.reduce((sum, { cost }) => sum + usd(cost), 0n);
  assert.equal(decimal(usd(/"totalCostUSD":([\d.]+)/.exec(text)[1])), decimal(total));
});

test('an open breaker and a paused provider are passed over', async () => {
  await world.database.query(`SELECT holdfast.breaker_report('perplexity', false, 10) FROM generate_series(1, 20)`);
  world.replay.next('chat_basic');
  const first = await run();
  assert.deepEqual([first.json.steps[0].provider, first.json.steps[0].attempts], ['openai', 1], first.text);
  world.expectEntry({ ...kOpenAi, fallback: true });
  await world.database.query(`SELECT holdfast.reset_breaker('perplexity')`);

  // The provider itself says that it is exhausted: the step goes on elsewhere, and so does the next run.
  world.replay.next('perplexity/chat_basic', { status: 429, headers: { 'retry-after': '30' } });
  world.replay.next('chat_basic');
  await run();
  world.replay.next('chat_basic');
  const later = await run();
  assert.deepEqual([later.json.steps[0].provider, later.json.steps[0].attempts], ['openai', 1], later.text);
  world.expectEntry({ ...kOpenAi, fallback: true });
  world.expectEntry({ ...kOpenAi, fallback: true });
});

test('with nobody to stand in a step waits until its provider may be asked', async () => {
  const { fallback, ...alone } = kStep;
  assert.ok(fallback);
  await world.database.query(`SELECT holdfast.pause_provider('perplexity', '1 hour', 'quota_exhausted')`);
  world.replay.next('perplexity/chat_basic');
  const waiting = run({ ...kWorkflow, steps: [alone] });
  for (let delayed = false; !delayed; ) {
    const rows = await world.database.query(
      `SELECT 1 FROM holdfast.workflow_run_events WHERE event = 'step.delayed' AND organization_id = $1`,
      [world.organization.id],
    );
    delayed = rows.length > 0;
  }
  await world.database.query('DELETE FROM holdfast.provider_pauses');
  await world.database.query(`UPDATE holdfast.workflow_run_steps SET ready_at = now() WHERE status = 'ready'`);
  const { json, text } = await waiting;
  assert.equal(json.status, 'completed', text);
  world.expectEntry(kSonar);
});
