// The provider fails: the caller is told what and by whom, nothing is charged, the hold is given back.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { APIError } from 'openai';
import { fixture } from './support/fixtures.mjs';
import { kProviderKey } from './support/gateway.mjs';
import { World, readStream } from './support/world.mjs';

let world;
before(async () => (world = await World.create()));
afterEach(() => world.verify());
after(() => world.close());

const kCall = { model: 'gpt-5-nano', messages: [{ role: 'user', content: 'Hello!' }] };

// The error that the SDK throws for this call.
async function refused(options = {}) {
  try {
    await world.client.chat.completions.create({ ...kCall, ...options });
  } catch (error) {
    assert.ok(error instanceof APIError, String(error));
    return error;
  }
  return assert.fail('the call was answered');
}

const kCases = [
  { recording: 'error_401_invalid_key', status: 502, code: 'provider_auth', type: 'server_error' },
  { recording: 'error_429_rate_limit_tpm', status: 429, code: 'provider_rate_limit', type: 'rate_limit_error' },
  { recording: 'error_429_insufficient_quota', status: 429, code: 'provider_quota_exhausted', type: 'rate_limit_error' },
  { recording: 'error_400_context_length', status: 400, code: 'context_length_exceeded', type: 'invalid_request_error' },
  { recording: 'error_400_unsupported_parameter', status: 400, code: 'provider_invalid_request', type: 'invalid_request_error' },
];

for (const { recording, status, code, type } of kCases) {
  for (const stream of [false, true]) {
    test(`${recording} is told as ${status} ${code}${stream ? ' before a stream begins' : ''}`, async () => {
      const planned = world.replay.next(recording);
      const error = await refused({ stream });
      assert.equal(error.status, status);
      assert.equal(error.code, code);
      assert.equal(error.type, type);
      assert.ok(!error.message.includes(kProviderKey));
      await planned.arrived;
    });
  }
}

test('a provider’s 500 is told as 502', async () => {
  world.replay.next('chat_basic', { status: 500 });
  const error = await refused();
  assert.equal(error.status, 502);
  assert.equal(error.code, 'provider_error');
});

test('a provider’s Retry-After is handed on', async () => {
  world.replay.next('error_429_rate_limit_tpm', { headers: { 'retry-after': '7' } });
  const error = await refused();
  assert.equal(error.headers['retry-after'], '7');
});

test('the provider is asked once for one call', async () => {
  const before = world.replay.requests.length;
  world.replay.next('error_429_rate_limit_tpm');
  await refused();
  assert.equal(world.replay.requests.length, before + 1);
});

test('on /api the error names the provider and its status', async () => {
  world.replay.next('error_401_invalid_key');
  const answer = await world.http('POST', '/api/ai/generate', { body: { prompt: 'Hello!', model: 'gpt-5-nano' } });
  assert.equal(answer.status, 502, answer.text);
  assert.equal(answer.json.success, false);
  assert.equal(answer.json.code, 'provider_auth');
  assert.equal(answer.json.provider, 'openai');
  assert.equal(answer.json.providerStatus, 401);
  assert.equal(answer.json.requestId, answer.headers.get('x-holdfast-request'));
});

test('a stream that breaks off is an error in the stream, and what came is settled', async () => {
  world.replay.next('stream_basic', { cutAfterEvents: 3 });
  const messages = [{ role: 'user', content: 'Say this is a test' }];
  const stream = await world.client.chat.completions.create({ model: 'gpt-4', messages, stream: true });
  await assert.rejects(readStream(stream), (error) => error instanceof APIError && error.code === 'provider_network');
  await world.settled();
  const said = fixture('stream_basic').response.body_text.split('\n\n').slice(0, 3);
  const text = said.map((event) => JSON.parse(event.slice('data: '.length)).choices[0].delta.content).join('');
  const tokens = (string) => Math.ceil(Buffer.byteLength(string) / 4);
  const usage = { prompt: tokens(messages[0].role + messages[0].content), completion: tokens(text) };
  world.expectEntry({ model: 'gpt-4', usage, estimated: true });
});
