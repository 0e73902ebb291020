// Every recorded answer of the ten providers over real HTTP, through the gateway, as the official OpenAI SDK reads it:
// field by field what the recording says, and charged to the digit.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { APIError } from 'openai';
import { expectedOf, fixture, modelOf, recordingsOf } from './support/fixtures.mjs';
import { kProviderKey } from './support/gateway.mjs';
import { World, kProviders } from './support/world.mjs';

const kPrice = { input: '1.13', output: '3.37', cached: '0.57' };
const kQuestion = [{ role: 'user', content: 'What is the weather in Berlin?' }];
const kTools = [
  {
    type: 'function',
    function: {
      name: 'weather',
      description: 'The weather of a place',
      parameters: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'] },
    },
  },
];

// What the SDK's caller is told of each class of error.
const kTold = {
  auth: { status: 502, code: 'provider_auth' },
  invalid_request: { status: 400, code: 'provider_invalid_request' },
  context_length: { status: 400, code: 'context_length_exceeded' },
  rate_limit: { status: 429, code: 'provider_rate_limit' },
  quota_exhausted: { status: 429, code: 'provider_quota_exhausted' },
  overloaded: { status: 503, code: 'provider_overloaded' },
  server: { status: 502, code: 'provider_error' },
};

// OpenAI's have no class beside them, and two of its streams no count: chat.test.mjs has those.
const kOpenAiClasses = {
  error_400_context_length: 'context_length',
  error_400_unsupported_parameter: 'invalid_request',
  error_401_invalid_key: 'auth',
  error_404_unknown_model: 'invalid_request',
  error_429_insufficient_quota: 'quota_exhausted',
  error_429_rate_limit_tpm: 'rate_limit',
};
const kUncounted = ['openai/stream_no_usage', 'openai/stream_obfuscation'];

let world;
before(async () => {
  world = await World.create({ everyProvider: true });
  await world.priceRecordings(kProviders, kPrice);
});
afterEach(() => world.verify());
after(() => world.close());

// The request for a recording: the recorded one where it speaks OpenAI's API, else one of its kind.
function requestFor(name) {
  const recorded = fixture(name);
  const { path, body } = recorded.request;
  const model = `${name.split('/')[0]}/${modelOf(recorded)}`;
  const asked = path.endsWith('/chat/completions') && !name.includes('/error') ? body : null;
  const tools = asked ? asked.tools : name.includes('tools') ? kTools : undefined;
  return { model, messages: asked?.messages ?? kQuestion, ...(tools ? { tools } : {}) };
}

function expectCharge(name, usage) {
  const [provider] = name.split('/');
  const model = modelOf(fixture(name));
  world.expectEntry({ provider, model, usage, estimated: usage.estimated });
}

async function checkAsked(name, planned) {
  const recorded = fixture(name);
  const [provider] = name.split('/');
  const asked = await planned.arrived;
  const path = recorded.request.path.replace('?beta=true', '');
  if (!name.includes('/error')) assert.equal(asked.path, `/${provider}${path}`);
  const header = { anthropic: 'x-api-key', gemini: 'x-goog-api-key' }[provider];
  if (header) assert.equal(asked.headers[header], kProviderKey);
  else assert.equal(asked.headers.authorization, `Bearer ${kProviderKey}`);
}

function sameChoice(read, expected, where) {
  assert.equal(read.content ?? '', expected.content, `${where} content`);
  assert.equal(read.reasoning ?? '', expected.reasoning, `${where} reasoning`);
  assert.deepEqual(read.calls, expected.calls, `${where} tool calls`);
  assert.deepEqual(read.urls, expected.urls, `${where} citations`);
  assert.equal(read.finish, expected.finish, `${where} finish_reason`);
}

function sameUsage(usage, expected) {
  assert.deepEqual(
    {
      prompt: usage.prompt_tokens,
      completion: usage.completion_tokens,
      cached: usage.prompt_tokens_details.cached_tokens,
      reasoning: usage.completion_tokens_details.reasoning_tokens,
    },
    {
      prompt: expected.prompt,
      completion: expected.completion,
      cached: expected.cached,
      reasoning: expected.reasoning,
    },
  );
  assert.equal(usage.total_tokens, expected.prompt + expected.completion);
}

const urlsOf = (annotations) =>
  (annotations ?? []).filter(({ type }) => type === 'url_citation').map(({ url_citation: { url } }) => url);
const callOf = ({ id, function: { name, arguments: written } }) => ({ id, name, arguments: written });

async function checkAnswer(name) {
  const expected = expectedOf(name);
  const planned = world.replay.next(name);
  const data = await world.client.chat.completions.create(requestFor(name));
  await checkAsked(name, planned);
  assert.equal(data.object, 'chat.completion');
  assert.equal(data.choices.length, expected.choices.length);
  for (const [index, { message, finish_reason: finish }] of data.choices.entries()) {
    const { content, reasoning, annotations } = message;
    const calls = (message.tool_calls ?? []).map(callOf);
    sameChoice({ content, reasoning, calls, urls: urlsOf(annotations), finish }, expected.choices[index], `[${index}]`);
  }
  sameUsage(data.usage, expected.usage);
  expectCharge(name, expected.usage);
}

// A stream of the SDK, put together: {choices, usage}.
async function collect(stream) {
  const choices = [];
  let usage;
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    for (const { index, delta, finish_reason: finish } of chunk.choices) {
      const choice = (choices[index] ??= { content: '', reasoning: '', calls: [], urls: [], finish: undefined });
      choice.content += delta.content ?? '';
      choice.reasoning += delta.reasoning ?? '';
      choice.urls.push(...urlsOf(delta.annotations));
      choice.finish = finish ?? choice.finish;
      for (const piece of delta.tool_calls ?? []) {
        const call = (choice.calls[piece.index] ??= { id: '', name: '', arguments: '' });
        call.id += piece.id ?? '';
        call.name += piece.function.name ?? '';
        call.arguments += piece.function.arguments ?? '';
      }
    }
  }
  return { choices, usage };
}

async function checkStream(name) {
  const expected = expectedOf(name);
  const planned = world.replay.next(name);
  const request = { ...requestFor(name), stream: true, stream_options: { include_usage: true } };
  const stream = await world.client.chat.completions.create(request);
  if (expected.error) {
    await assert.rejects(collect(stream), (error) => error instanceof APIError && error.code === kTold[expected.error.class].code);
    await world.settled();
    await world.takeEntry(name.split('/')[0]);
    return;
  }
  const { choices, usage } = await collect(stream);
  await checkAsked(name, planned);
  assert.equal(choices.length, expected.choices.length);
  for (const [index, choice] of choices.entries()) sameChoice(choice, expected.choices[index], `[${index}]`);
  sameUsage(usage, expected.usage);
  expectCharge(name, expected.usage);
}

async function checkError(name, stream) {
  const { error: expected } = expectedOf(name);
  expected.class ??= kOpenAiClasses[name.split('/')[1]];
  const told = kTold[expected.class];
  world.replay.next(name);
  await assert.rejects(world.client.chat.completions.create({ ...requestFor(name), stream }), (error) => {
    assert.ok(error instanceof APIError, String(error));
    assert.equal(error.status, told.status);
    assert.equal(error.code, told.code);
    assert.ok(error.message.includes(name.split('/')[0]), 'the provider is named');
    assert.ok(!error.message.includes(kProviderKey));
    if (expected.class !== 'auth') assert.ok(error.message.includes(expected.message.slice(1, 60)), error.message);
    return true;
  });
}

for (const name of kProviders.flatMap(recordingsOf).filter((recording) => !kUncounted.includes(recording))) {
  const kind = name.split('/')[1];
  if (kind.startsWith('error')) {
    test(`${name} is told as its class`, () => checkError(name, false));
    test(`${name} is told before a stream begins`, () => checkError(name, true));
  } else if (kind.startsWith('stream')) {
    test(`${name} streams through`, () => checkStream(name));
  } else {
    test(`${name} comes through`, () => checkAnswer(name));
  }
}
