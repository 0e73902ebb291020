// A caller that is not sure asks again under the same Idempotency-Key: one call, one charge, one answer.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { fixture, usageOf } from './support/fixtures.mjs';
import { World, readStream } from './support/world.mjs';

let world;
before(async () => (world = await World.create()));
afterEach(() => world.verify());
after(() => world.close());

const kCall = { model: 'gpt-5-nano', messages: [{ role: 'user', content: 'Hello!' }] };

function ask(key, options = {}) {
  return world.client.chat.completions.create({ ...kCall, ...options }, { headers: { 'Idempotency-Key': key } });
}

test('a repeat gets the stored answer, and neither calls nor charges again', async () => {
  const calls = world.replay.requests.length;
  world.replay.next('chat_basic');
  const first = await ask('repeat');
  const second = await ask('repeat');
  assert.deepEqual(second, first);
  assert.equal(world.replay.requests.length, calls + 1);
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
});

test('the order of a body’s members is no difference', async () => {
  world.replay.next('chat_basic');
  const { model, messages } = kCall;
  const headers = { 'Idempotency-Key': 'order' };
  const first = await world.http('POST', '/v1/chat/completions', { headers, body: { model, messages } });
  const second = await world.http('POST', '/v1/chat/completions', { headers, body: { messages, model } });
  assert.equal(first.status, 200, first.text);
  assert.equal(second.text, first.text);
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
});

test('the same key with another body is 409', async () => {
  world.replay.next('chat_basic');
  await ask('mismatch');
  await assert.rejects(ask('mismatch', { max_tokens: 5 }), { status: 409, type: 'conflict_error' });
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
});

test('a key whose call is still in flight is 409 with Retry-After', async () => {
  const planned = world.replay.next('chat_basic', { waits: true });
  const first = ask('flight');
  await planned.arrived;
  const second = await ask('flight').then(
    () => assert.fail('the second was answered'),
    (error) => error,
  );
  assert.equal(second.status, 409);
  assert.equal(second.code, 'idempotency_key_in_flight');
  assert.ok(Number.parseInt(second.headers['retry-after'], 10) >= 1);
  planned.release();
  const answer = await first;
  assert.deepEqual(await ask('flight'), answer);
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
});

test('a key whose call failed without a charge is free again', async () => {
  world.replay.next('error_429_rate_limit_tpm');
  await assert.rejects(ask('again'), { status: 429 });
  world.replay.next('chat_basic');
  const answer = await ask('again');
  assert.equal(answer.usage.total_tokens, 385);
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
});

test('a repeated stream is streamed again from what was stored', async () => {
  world.replay.next('stream_basic');
  const options = { model: 'gpt-4', stream: true, stream_options: { include_usage: true } };
  const first = await readStream(await ask('stream', options));
  const second = await readStream(await ask('stream', options));
  assert.equal(second.text, first.text);
  assert.deepEqual(second.usage, first.usage);
  world.expectEntry({ model: 'gpt-4', usage: usageOf(fixture('stream_basic')) });
});

test('/api/ai/generate takes its key in the body as well', async () => {
  world.replay.next('chat_basic');
  const body = { prompt: 'Hello!', model: 'gpt-5-nano', idempotencyKey: 'in-body' };
  const first = await world.http('POST', '/api/ai/generate', { body });
  const second = await world.http('POST', '/api/ai/generate', { body });
  assert.equal(first.status, 200, first.text);
  assert.equal(second.json.content, first.json.content);
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
});

test('organizations do not see each other’s keys', async () => {
  const other = await world.newOrganization();
  world.replay.next('chat_basic');
  world.replay.next('chat_reasoning');
  const mine = await ask('shared');
  const theirs = await world
    .clientOf(other.key)
    .chat.completions.create(kCall, { headers: { 'Idempotency-Key': 'shared' } });
  assert.notEqual(theirs.id, mine.id);
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_reasoning')), organization: other });
});
