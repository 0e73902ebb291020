// The log: a line a request with what is needed to find it again, and nothing that is secret.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { fixture, usageOf } from './support/fixtures.mjs';
import { kProviderKey } from './support/gateway.mjs';
import { World } from './support/world.mjs';

const kModel = 'gpt-5-nano';
const kTrace = '4bf92f3577b34da6a3ce929d0e0e4736';

let world;
before(async () => (world = await World.create()));
afterEach(() => world.verify());
after(() => world.close());

function call(headers) {
  world.replay.next('chat_basic');
  world.expectEntry({ model: kModel, usage: usageOf(fixture('chat_basic')) });
  const body = { prompt: 'a prompt that nobody logs', model: kModel, provider: 'openai' };
  return world.http('POST', '/api/ai/generate', { headers, body });
}

// The log's line about a request, which is written when its answer has been sent.
async function lineOf(answer) {
  const id = answer.headers.get('x-holdfast-request');
  for (;;) {
    const line = world.gateway.log.split('\n').find((each) => each.includes(id) && each.includes('"event":"request"'));
    if (line) return JSON.parse(line);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a call’s line tells who, what, how long and how much', async () => {
  const answer = await call({ 'X-Correlation-Id': 'order-17' });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers.get('x-correlation-id'), 'order-17');
  const line = await lineOf(answer);
  assert.equal(line.level, 'info');
  assert.equal(line.correlationId, 'order-17');
  assert.equal(line.organizationId, world.organization.id);
  assert.equal(line.route, 'POST /api/ai/generate');
  assert.equal(line.status, 200);
  assert.equal(line.provider, 'openai');
  assert.equal(line.model, kModel);
  assert.ok(line.costUSD > 0);
  assert.ok(Number.isInteger(line.latencyMs));
  assert.ok(!Number.isNaN(Date.parse(line.time)));
});

test('a trace is carried on, and what is no id is replaced', async () => {
  const traced = await call({ traceparent: `00-${kTrace}-00f067aa0ba902b7-01` });
  assert.equal(traced.headers.get('x-correlation-id'), kTrace);
  assert.match(traced.headers.get('traceparent'), new RegExp(`^00-${kTrace}-[0-9a-f]{16}-01$`));
  const odd = await call({ 'X-Correlation-Id': 'not {an} id' });
  assert.equal(odd.headers.get('x-correlation-id'), odd.headers.get('x-holdfast-request'));
});

test('refusals have a line too, and no line has a secret or a prompt', async () => {
  const unknown = await world.http('POST', '/api/ai/generate', { key: `hf_${'0'.repeat(32)}_${'A'.repeat(43)}`, body: { prompt: 'x', model: kModel } });
  assert.equal(unknown.status, 401);
  const line = await lineOf(unknown);
  assert.equal(line.status, 401);
  assert.equal(line.error, 'invalid_api_key');
  const log = world.gateway.log;
  for (const secret of [kProviderKey, world.organization.key, 'A'.repeat(43), 'a prompt that nobody logs'])
    assert.ok(!log.includes(secret), secret);
});
