// A provider fails: tried again, handed on to another, or left alone, and every attempt that was charged is settled.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { APIError } from 'openai';
import { expectedOf, fixture, usageOf } from './support/fixtures.mjs';
import { World, readStream } from './support/world.mjs';

let world;
afterEach(() => world.verify());
after(() => world.close());

const kMessages = [{ role: 'user', content: 'Hello!' }];
const kCall = { model: 'openai/gpt-5-nano', messages: kMessages };
const kLlama = { model: 'llama-3.1-70b', messages: kMessages, max_tokens: 500 };
const kFallback = { headers: { 'X-Holdfast-Fallback': 'groq/llama-3.3-70b' } };
const kBasic = usageOf(fixture('chat_basic'));
const kDeepInfra = expectedOf('deepinfra/chat_basic').usage;
const kTogether = expectedOf('together/chat_basic').usage;
const kGroq = expectedOf('groq/chat_basic').usage;
const kPrices = {
  'together/llama-3.1-70b': { input: '0.88', output: '0.88' },
  'deepinfra/llama-3.1-70b': { input: '0.35', output: '0.40' },
  'groq/llama-3.3-70b': { input: '0.59', output: '0.79' },
};
before(async () => {
  world = await World.create({ everyProvider: true, flags: ['--max-retries', '2'] });
  Object.assign(world.prices, kPrices);
});

const tokens = (text) => Math.ceil(Buffer.byteLength(text) / 4);
const kAsked = { prompt: tokens('userHello!'), completion: 0 };

async function rejected(call) {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof APIError, String(error));
    return error;
  }
  return assert.fail('the call was answered');
}

async function asks(count, work) {
  const before = world.replay.requests.length;
  const result = await work();
  assert.equal(world.replay.requests.length - before, count, 'requests to providers');
  return result;
}

test('a failure that passes is tried again, under the same hold', async () => {
  world.replay.next('chat_basic', { status: 500 });
  world.replay.next('chat_basic');
  const data = await asks(2, () => world.client.chat.completions.create(kCall));
  assert.equal(data.choices[0].message.content, fixture('chat_basic').response.body.choices[0].message.content);
  world.expectEntry({ model: 'gpt-5-nano', usage: kBasic });
});

test('after its retries the last failure is told', async () => {
  for (let i = 0; i < 3; i++) world.replay.next('chat_basic', { status: 500 });
  const error = await asks(3, () => rejected(world.client.chat.completions.create(kCall)));
  assert.equal(error.code, 'provider_error');
});

test('a provider’s own delay is kept', async () => {
  world.replay.next('error_429_rate_limit_tpm', { headers: { 'retry-after-ms': '700' } });
  world.replay.next('chat_basic');
  const begun = Date.now();
  await asks(2, () => world.client.chat.completions.create(kCall));
  assert.ok(Date.now() - begun >= 700);
  world.expectEntry({ model: 'gpt-5-nano', usage: kBasic });
});

test('what cannot pass is not tried again', async () => {
  for (const name of ['error_400_context_length', 'error_400_unsupported_parameter', 'error_401_invalid_key']) {
    world.replay.next(name);
    await asks(1, () => rejected(world.client.chat.completions.create(kCall)));
  }
});

test('an empty account is not tried again, and no gateway asks it for a while', async () => {
  world.replay.next('error_429_insufficient_quota');
  const error = await asks(1, () => rejected(world.client.chat.completions.create(kCall)));
  assert.equal(error.code, 'provider_quota_exhausted');
  const other = await world.startGateway();
  const paused = await asks(0, () => rejected(world.clientOf(world.organization.key, other).chat.completions.create(kCall)));
  assert.equal(paused.status, 503);
  assert.equal(paused.code, 'providers_paused');
  const wait = Number(paused.headers['retry-after']);
  assert.ok(wait > 30 && wait <= 60, String(wait));
});

test('the next cheapest provider of the model answers in its place', async () => {
  world.replay.next('deepinfra/error_429_model_busy', { headers: { 'retry-after': '40' } });
  world.replay.next('together/chat_basic');
  const { data, response } = await asks(2, () => world.client.chat.completions.create(kLlama).withResponse());
  assert.equal(data.choices[0].message.content, expectedOf('together/chat_basic').choices[0].content);
  assert.equal(response.headers.get('x-holdfast-provider'), 'together');
  assert.match(response.headers.get('x-holdfast-routing'), /^fallback: deepinfra/);
  world.expectEntry({ provider: 'together', model: 'llama-3.1-70b', usage: kTogether, fallback: true });

  // The one that named its delay is left alone meanwhile.
  world.replay.next('together/chat_basic');
  await asks(1, () => world.client.chat.completions.create(kLlama));
  world.expectEntry({ provider: 'together', model: 'llama-3.1-70b', usage: kTogether });
});

test('the model goes out under the name that the provider knows', async () => {
  const planned = world.replay.next('deepinfra/chat_basic');
  const { response } = await world.client.chat.completions.create(kLlama).withResponse();
  assert.equal((await planned.arrived).body.model, 'meta-llama/Meta-Llama-3.1-70B-Instruct');
  assert.match(response.headers.get('x-holdfast-routing'), /^cheapest: the cheapest of 2/);
  world.expectEntry({ provider: 'deepinfra', model: 'llama-3.1-70b', usage: kDeepInfra });
});

test('an attempt that may have been charged is an entry of its own', async () => {
  const workflow = await world.database.workflow(world.organization.id);
  const headers = { ...kFallback.headers, 'X-Holdfast-Workflow': workflow, 'Idempotency-Key': randomUUID() };
  for (let i = 0; i < 3; i++) world.replay.next('chat_basic', { cutAfterBytes: 50 });
  world.replay.next('groq/chat_basic');
  const { response } = await asks(4, () => world.client.chat.completions.create(kCall, { headers }).withResponse());
  let total = 0n;
  for (let i = 0; i < 3; i++) total += world.expectEntry({ model: 'gpt-5-nano', usage: kAsked, estimated: true, workflow });
  total += world.expectEntry({ provider: 'groq', model: 'llama-3.3-70b', usage: kGroq, fallback: true, workflow });
  assert.equal(await world.workflowCost(workflow), total);
  assert.ok(response.headers.get('x-holdfast-cost'));
  const again = await world.client.chat.completions.create(kCall, { headers }).withResponse();
  assert.equal(again.response.headers.get('idempotent-replay'), 'true');
});

const kStream = { model: 'openai/gpt-4', messages: kMessages, stream: true };

test('a stream is tried again before its first chunk', async () => {
  world.replay.next('chat_basic', { status: 503 });
  world.replay.next('stream_basic');
  await asks(2, async () => readStream(await world.client.chat.completions.create(kStream)));
  world.expectEntry({ model: 'gpt-4', usage: usageOf(fixture('stream_basic')) });
});

test('a stream that has begun is never tried again', async () => {
  world.replay.next('stream_basic', { cutAfterEvents: 3 });
  await asks(1, async () => assert.rejects(readStream(await world.client.chat.completions.create(kStream, kFallback))));
  await world.settled();
  await world.takeEntry('openai');
});

test('a stream whose first event is an error is handed on', async () => {
  world.replay.next('anthropic/error_529_overloaded');
  world.replay.next('anthropic/error_529_overloaded');
  world.replay.next('anthropic/error_529_overloaded');
  world.replay.next('groq/stream_basic');
  const call = { model: 'anthropic/claude-3-5-haiku', messages: kMessages, stream: true };
  const { text } = await asks(4, async () => readStream(await world.client.chat.completions.create(call, kFallback)));
  assert.equal(text, expectedOf('groq/stream_basic').choices[0].content);
  world.expectEntry({ provider: 'groq', model: 'llama-3.3-70b', usage: expectedOf('groq/stream_basic').usage, fallback: true });
});

test('/api/ai/generate tells that another provider answered, and why', async () => {
  world.replay.next('error_401_invalid_key');
  world.replay.next('groq/chat_basic');
  const body = { prompt: 'Hello!', provider: 'openai', model: 'gpt-5-nano', fallbacks: ['groq/llama-3.3-70b'] };
  const answer = await asks(2, () => world.http('POST', '/api/ai/generate', { body }));
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.fallbackUsed, true);
  assert.equal(answer.json.provider, 'groq');
  assert.deepEqual(answer.json.routing.failedAttempts, [
    { provider: 'openai', model: 'gpt-5-nano', class: 'auth', status: 401, charged: false },
  ]);
  world.expectEntry({ provider: 'groq', model: 'llama-3.3-70b', usage: kGroq, fallback: true });
  const metadata = await world.database.value(
    `SELECT metadata FROM holdfast.ai_usage_ledger WHERE fallback_used ORDER BY seq DESC LIMIT 1`,
  );
  assert.deepEqual(metadata.routing.chain.map(({ provider }) => provider), ['openai', 'groq']);
  assert.equal(metadata.failedAttempts[0].class, 'auth');
});

test('disableFallback and X-Holdfast-Fallback: none keep a call to its provider', async () => {
  for (let i = 0; i < 2; i++) world.replay.next('deepinfra/error_401_not_authenticated');
  const body = { prompt: 'Hello!', model: 'llama-3.1-70b', maxTokens: 500, disableFallback: true };
  const answer = await asks(1, () => world.http('POST', '/api/ai/generate', { body }));
  assert.equal(answer.json.code, 'provider_auth');
  const headers = { 'X-Holdfast-Fallback': 'none' };
  await asks(1, () => rejected(world.client.chat.completions.create(kLlama, { headers })));
});

test('without a model the cheapest, the fastest or an able one is taken', async () => {
  const chosen = async (members, name) => {
    world.replay.next(name);
    const body = { prompt: 'Hello!', maxTokens: 100, ...members };
    const answer = await asks(1, () => world.http('POST', '/api/ai/generate', { body }));
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
  };
  const cheapest = await chosen({}, 'gemini/generate_basic');
  assert.equal(cheapest.provider, 'gemini');
  assert.match(cheapest.routing.reason, /^the cheapest of 10/);
  world.prices['gemini/gemini-1.5-flash'] = { input: '0.075', output: '0.30' };
  world.expectEntry({ provider: 'gemini', model: 'gemini-1.5-flash', usage: expectedOf('gemini/generate_basic').usage });
  const fastest = await chosen({ routing: 'fastest' }, 'groq/chat_basic');
  assert.equal(fastest.provider, 'groq');
  world.expectEntry({ provider: 'groq', model: 'llama-3.3-70b', usage: kGroq });
  const able = await chosen({ capabilities: ['online-search'] }, 'perplexity/chat_basic');
  assert.equal(able.provider, 'perplexity');
  world.prices['perplexity/sonar'] = { input: '1', output: '1' };
  world.expectEntry({ provider: 'perplexity', model: 'sonar', usage: expectedOf('perplexity/chat_basic').usage });
});

test('a provider whose headers say that nothing is left is not asked', async () => {
  const spent = { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1m0s' };
  world.replay.next('deepinfra/chat_basic', { headers: spent });
  await world.client.chat.completions.create(kLlama);
  world.expectEntry({ provider: 'deepinfra', model: 'llama-3.1-70b', usage: kDeepInfra });
  world.replay.next('together/chat_basic');
  const { response } = await world.client.chat.completions.create(kLlama).withResponse();
  assert.equal(response.headers.get('x-holdfast-provider'), 'together');
  world.expectEntry({ provider: 'together', model: 'llama-3.1-70b', usage: kTogether });
});

test('nothing new is begun after the retry deadline', async () => {
  const hasty = await world.startGateway({ flags: ['--max-retries', '2', '--retry-deadline-ms', '0'] });
  world.replay.next('chat_basic', { status: 500 });
  await asks(1, () => rejected(world.clientOf(world.organization.key, hasty).chat.completions.create(kCall, kFallback)));
});

const kRefused = [
  [{ 'X-Holdfast-Fallback': 'nonsense' }, 400, 'bad_value'],
  [{ 'X-Holdfast-Fallback': 'nobody/model' }, 400, 'unknown_provider'],
  [{ 'X-Holdfast-Fallback': 'custom/model' }, 422, 'provider_not_configured'],
  [{ 'X-Holdfast-Routing': 'dearest' }, 400, 'bad_value'],
  [{ 'X-Holdfast-Capabilities': 'telepathy' }, 422, 'unpriced_model'],
];
for (const [headers, status, code] of kRefused) {
  test(`${JSON.stringify(headers)} is refused`, async () => {
    const error = await asks(0, () => rejected(world.client.chat.completions.create(kLlama, { headers })));
    assert.equal(error.status, status);
    assert.equal(error.code, code);
  });
}
