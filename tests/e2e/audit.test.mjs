// The audit log: a row for every call and refusal that the database decides, found by the ids that the caller was told.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { fixture, usageOf } from './support/fixtures.mjs';
import { World } from './support/world.mjs';

const kModel = 'gpt-5-nano';

let world;
before(async () => (world = await World.create()));
afterEach(() => world.verify());
after(() => world.close());

const ask = (headers, body = {}, options = {}) =>
  world.http('POST', '/api/ai/generate', { headers, body: { prompt: 'Hello!', model: kModel, provider: 'openai', ...body }, ...options });

async function rowsOf(answer) {
  return world.database.query('SELECT * FROM holdfast.get_audit_log($1, p_request_id => $2)', [
    world.organization.id,
    answer.headers.get('x-holdfast-request'),
  ]);
}

test('a call that was answered is one row, with its ids and figures', async () => {
  world.replay.next('chat_basic');
  const usage = usageOf(fixture('chat_basic'));
  world.expectEntry({ model: kModel, usage });
  const answer = await ask({ 'X-Correlation-Id': 'order-17', 'X-Holdfast-User': 'ada' });
  assert.equal(answer.status, 200, answer.text);
  const [row, ...more] = await rowsOf(answer);
  assert.equal(more.length, 0);
  assert.equal(row.event, 'settled');
  assert.equal(row.status, 200);
  assert.equal(row.correlation_id, 'order-17');
  assert.equal(row.user_id, 'ada');
  assert.equal(row.route, 'POST /api/ai/generate');
  assert.deepEqual([row.provider, row.model], ['openai', kModel]);
  assert.deepEqual([row.prompt_tokens, row.completion_tokens], [usage.prompt, usage.completion]);
  assert.equal(row.cost, answer.headers.get('x-holdfast-cost'));
  assert.ok(row.latency_ms >= 0);
  assert.equal(row.fallback_used, false);
  assert.equal(row.routing.chain[0].provider, 'openai');
  assert.equal(row.request_body, null);
  const entry = await world.database.query('SELECT id FROM holdfast.ai_usage_ledger WHERE id = $1', [row.hold_id]);
  assert.equal(entry.length, 1, 'its hold is its ledger entry');
  const found = await world.database.query(`SELECT * FROM holdfast.get_audit_log($1, p_correlation_id => 'order-17')`, [
    world.organization.id,
  ]);
  assert.deepEqual(found, [row]);
});

test('a call whose provider failed is released, and what the database refused is on record', async () => {
  world.replay.next('error_401_invalid_key');
  const failed = await ask({});
  assert.ok(failed.status >= 500, failed.text);
  const [released] = await rowsOf(failed);
  assert.deepEqual([released.event, released.status, released.provider], ['released', failed.status, 'openai']);

  const unpriced = await ask({}, { model: 'nobody-prices-this' });
  assert.equal(unpriced.status, 422, unpriced.text);
  const [refused] = await rowsOf(unpriced);
  assert.deepEqual([refused.event, refused.status, refused.model], ['refused', 422, 'nobody-prices-this']);
  assert.equal(refused.detail.code, unpriced.json.code);

  const workflow = await world.database.workflow(world.organization.id, '0.000001');
  const poor = await ask({}, { workflowId: workflow });
  assert.equal(poor.status, 402, poor.text);
  const [denied] = await rowsOf(poor);
  assert.deepEqual([denied.event, denied.status, denied.workflow_id, denied.detail.scope], ['denied', 402, workflow, 'workflow']);
});

test('of a key that is not one, and of what was not understood, there is no row', async () => {
  const count = () => world.database.value('SELECT count(*)::int FROM holdfast.ai_audit_log');
  const before = await count();
  assert.equal((await ask({}, {}, { key: `hf_${'0'.repeat(32)}_${'A'.repeat(43)}` })).status, 401);
  assert.equal((await world.http('POST', '/api/ai/generate', { body: '{' })).status, 400);
  assert.equal(await count(), before);
});

test('a gateway may leave out the calls that it makes, but no refusal', async () => {
  const quiet = await world.startGateway({ env: { ORCHESTRATOR_ENABLE_AUDIT: 'false' } });
  world.replay.next('chat_basic');
  world.expectEntry({ model: kModel, usage: usageOf(fixture('chat_basic')) });
  const answer = await ask({}, {}, { gateway: quiet });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(await rowsOf(answer), []);
  const refused = await ask({}, { model: 'nobody-prices-this' }, { gateway: quiet });
  assert.equal((await rowsOf(refused)).length, 1);
});

test('a call that waits for an approval, and who refused it, are found by the call’s ids', async () => {
  const strict = await world.startGateway({ flags: ['--auto-approve-usd', '0'] });
  const waiting = await ask({ 'X-Correlation-Id': 'dear-1' }, {}, { gateway: strict });
  assert.equal(waiting.status, 202, waiting.text);
  const [waits] = await rowsOf(waiting);
  assert.deepEqual([waits.event, waits.status, waits.detail.approvalId], ['approval.waiting', 202, waiting.json.approvalId]);
  const [{ api_key: key }] = await world.database.query(
    `SELECT api_key FROM holdfast.create_api_key($1, 'admin', p_role => 'admin')`,
    [world.organization.id],
  );
  const path = `/api/ai/approvals/${waiting.json.approvalId}/refuse`;
  assert.equal((await world.http('POST', path, { body: { reason: 'too dear' }, key })).status, 200);
  const rows = await world.database.query(`SELECT * FROM holdfast.get_audit_log($1, p_correlation_id => 'dear-1')`, [
    world.organization.id,
  ]);
  const refused = rows.find(({ event }) => event === 'approval.refused');
  assert.equal(refused.detail.reason, 'too dear');
  assert.equal(refused.request_id, waiting.headers.get('x-holdfast-request'));
});

test('bodies are kept as the organization wishes, of streams too', async () => {
  const prompt = 'Hello, I am ann@example.com';
  const keep = (bodies) => world.database.query('SELECT holdfast.set_audit($1, p_bodies => $2)', [world.organization.id, bodies]);
  const bodiesOf = async (path, recording) => {
    world.replay.next(recording);
    world.expectEntry({ model: kModel, usage: usageOf(fixture(recording)) });
    const answer = await world.http('POST', path, { body: { prompt, model: kModel, provider: 'openai' } });
    assert.equal(answer.status, 200, answer.text);
    await world.settled();
    return (await rowsOf(answer))[0];
  };
  await keep('full');
  const full = await bodiesOf('/api/ai/generate', 'chat_basic');
  assert.equal(JSON.parse(full.request_body).prompt, prompt);
  assert.ok(JSON.parse(full.response_body).content.length > 0);
  const stream = await bodiesOf('/api/ai/stream', 'stream_basic');
  assert.equal(JSON.parse(stream.request_body).prompt, prompt);
  assert.ok(JSON.parse(stream.response_body).content.length > 0);
  await keep('redacted');
  const redacted = await bodiesOf('/api/ai/generate', 'chat_basic');
  assert.equal(JSON.parse(redacted.request_body).prompt, 'Hello, I am [REDACTED:EMAIL]');
  await keep('off');
  const off = await bodiesOf('/api/ai/generate', 'chat_basic');
  assert.deepEqual([off.request_body, off.response_body], [null, null]);
});
