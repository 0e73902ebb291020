// /api/ai/generate and /api/ai/stream: every recorded answer of the ten providers in the one shape, whole and streamed, and
// all that a request may ask for.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { expectedOf, fixture, modelOf, recordingsOf, usageOf } from './support/fixtures.mjs';
import { kProviderKey } from './support/gateway.mjs';
import { World, kProviders } from './support/world.mjs';

const kPrice = { input: '1.13', output: '3.37', cached: '0.57' };
const kImage = 'data:image/png;base64,iVBORw0KGgo=';
const kTool = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: { place: { type: 'string' } } } },
};
const kSchema = { type: 'object', properties: { degrees: { type: 'number' } }, required: ['degrees'], additionalProperties: false };
// Streams that never say what they used: chat.test.mjs has them.
const kUncounted = ['openai/stream_no_usage', 'openai/stream_obfuscation'];

let world;
before(async () => {
  world = await World.create({ everyProvider: true });
  await world.priceRecordings(kProviders, kPrice);
});
afterEach(() => world.verify());
after(() => world.close());

const ask = (path, body, options = {}) => world.http('POST', `/api/ai/${path}`, { body, ...options });

function requestFor(name) {
  const tools = name.includes('tools') ? { tools: [kTool] } : {};
  return { prompt: 'What is the weather in Berlin?', provider: name.split('/')[0], model: modelOf(fixture(name)), ...tools };
}

function expectCharge(name, usage) {
  const [provider] = name.split('/');
  world.expectEntry({ provider, model: modelOf(fixture(name)), usage, estimated: usage.estimated });
}

const callOf = ({ id, function: { name, arguments: written } }) => ({ id, name, arguments: written });
const urlsOf = (citations) => (citations ?? []).map(({ url }) => url).filter(Boolean);

function sameAnswer(body, expected) {
  const [choice] = expected.choices;
  assert.equal(body.success, true);
  assert.equal(body.content, choice.content);
  assert.equal(body.reasoning ?? '', choice.reasoning);
  assert.deepEqual((body.toolCalls ?? []).map(callOf), choice.calls);
  assert.deepEqual(urlsOf(body.citations), choice.urls);
  assert.equal(body.finishReason, choice.finish);
  const { prompt, completion, cached, written, reasoning, estimated } = expected.usage;
  assert.deepEqual(body.usage, {
    promptTokens: prompt,
    completionTokens: completion,
    totalTokens: prompt + completion,
    cachedTokens: cached,
    cacheWriteTokens: written,
    reasoningTokens: reasoning,
    ...(estimated ? { estimated: true } : {}),
  });
}

// The events of a stream: {deltas, last}, the deltas put together as a client would.
function read(text) {
  const events = text.split('\n\n').filter(Boolean).map((event) => {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event);
    return { name, data: JSON.parse(data) };
  });
  const last = events.pop();
  const whole = { content: '', reasoning: '', toolCalls: [], citations: [] };
  for (const { name, data } of events) {
    assert.equal(name, 'delta');
    whole.content += data.content ?? '';
    whole.reasoning += data.reasoning ?? '';
    whole.citations.push(...(data.citations ?? []));
    for (const piece of data.toolCalls ?? []) {
      const call = (whole.toolCalls[piece.index] ??= { id: '', function: { name: '', arguments: '' } });
      call.id += piece.id ?? '';
      call.function.name += piece.function.name ?? '';
      call.function.arguments += piece.function.arguments;
    }
  }
  return { whole, last };
}

async function checkAnswer(name) {
  const expected = expectedOf(name);
  world.replay.next(name);
  const answer = await ask('generate', requestFor(name));
  assert.equal(answer.status, 200, answer.text);
  sameAnswer(answer.json, expected);
  expectCharge(name, expected.usage);
}

async function checkStream(name) {
  const expected = expectedOf(name);
  world.replay.next(name);
  const answer = await ask('stream', requestFor(name));
  assert.equal(answer.status, 200, answer.text);
  const { whole, last } = read(answer.text);
  if (expected.error) {
    assert.equal(last.name, 'error');
    assert.equal(last.data.success, false);
    assert.ok(last.data.error.includes(name.split('/')[0]), last.data.error);
    await world.settled();
    await world.takeEntry(name.split('/')[0]);
    return;
  }
  assert.equal(last.name, 'done');
  sameAnswer(last.data, expected);
  sameAnswer({ ...last.data, ...whole }, expected);
  expectCharge(name, expected.usage);
}

async function checkError(name, path) {
  world.replay.next(name);
  const answer = await ask(path, requestFor(name));
  assert.ok(answer.status >= 400, answer.text);
  assert.equal(answer.json.success, false);
  assert.match(answer.json.code, /^[a-z_]+$/);
  assert.ok(answer.json.error.includes(name.split('/')[0]), answer.json.error);
  assert.ok(!answer.text.includes(kProviderKey));
}

for (const name of kProviders.flatMap(recordingsOf).filter((recording) => !kUncounted.includes(recording))) {
  const kind = name.split('/')[1];
  if (kind.startsWith('error')) {
    for (const path of ['generate', 'stream']) test(`${name} is told by ${path}`, () => checkError(name, path));
  } else if (kind.startsWith('stream')) {
    test(`${name} streams in one shape`, () => checkStream(name));
  } else {
    test(`${name} is answered in one shape`, () => checkAnswer(name));
  }
}

// A turn that asks for all there is: an earlier call of a tool and its result, an image, a schema.
const kTurn = {
  systemPrompt: 'Be brief.',
  messages: [
    { role: 'user', content: 'The weather?' },
    { role: 'assistant', tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"place":"Rome"}' } }] },
    { role: 'tool', tool_call_id: 'c1', content: '15 degrees' },
  ],
  prompt: 'And in this picture?',
  images: [kImage],
  tools: [kTool],
  toolChoice: 'required',
  parallelToolCalls: false,
  responseFormat: { type: 'json_schema', json_schema: { name: 'weather', schema: kSchema, strict: true } },
  stop: ['END'],
  temperature: 0.5,
  topP: 0.9,
  maxTokens: 300,
};

test('a turn with tools, results, an image and a schema reaches openai as it was asked', async () => {
  const planned = world.replay.next('chat_basic');
  const answer = await ask('generate', { ...kTurn, seed: 7, provider: 'openai', model: 'gpt-5-nano' });
  assert.equal(answer.status, 200, answer.text);
  const { body } = await planned.arrived;
  assert.deepEqual(body, {
    model: 'gpt-5-nano',
    messages: [
      { role: 'system', content: 'Be brief.' },
      kTurn.messages[0],
      { ...kTurn.messages[1], content: null },
      kTurn.messages[2],
      {
        role: 'user',
        content: [
          { type: 'text', text: 'And in this picture?' },
          { type: 'image_url', image_url: { url: kImage } },
        ],
      },
    ],
    tools: [kTool],
    tool_choice: 'required',
    parallel_tool_calls: false,
    response_format: kTurn.responseFormat,
    stop: ['END'],
    seed: 7,
    temperature: 0.5,
    top_p: 0.9,
    max_completion_tokens: 300,
    stream: false,
  });
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
});

test('the same turn reaches anthropic in its own shape', async () => {
  const name = 'anthropic/messages_basic';
  const planned = world.replay.next(name);
  const answer = await ask('generate', { ...kTurn, provider: 'anthropic', model: modelOf(fixture(name)) });
  assert.equal(answer.status, 200, answer.text);
  const { body } = await planned.arrived;
  const parts = body.messages.flatMap(({ content }) => content);
  assert.deepEqual(parts.find(({ type }) => type === 'tool_use').input, { place: 'Rome' });
  assert.equal(parts.find(({ type }) => type === 'tool_result').tool_use_id, 'c1');
  assert.deepEqual(parts.find(({ type }) => type === 'image').source, {
    type: 'base64',
    media_type: 'image/png',
    data: kImage.split(',')[1],
  });
  assert.deepEqual(body.stop_sequences, ['END']);
  expectCharge(name, expectedOf(name).usage);
});

const kBasics = { anthropic: 'messages_basic', gemini: 'generate_basic' };
for (const provider of kProviders) {
  test(`an image and a schema reach ${provider}`, async () => {
    const name = `${provider}/${kBasics[provider] ?? 'chat_basic'}`;
    const planned = world.replay.next(name);
    const { prompt, images, responseFormat } = kTurn;
    const answer = await ask('generate', { prompt, images, responseFormat, provider, model: modelOf(fixture(name)) });
    assert.equal(answer.status, 200, answer.text);
    const asked = JSON.stringify((await planned.arrived).body);
    assert.ok(asked.includes(kImage.split(',')[1]), asked);
    assert.ok(asked.includes('"degrees":{"type":"number"}'), asked);
    expectCharge(name, expectedOf(name).usage);
  });
}

test('tools reach deepinfra, whose own calls were not recorded, in the shape of those that speak as it does', async () => {
  const name = 'groq/chat_tools';
  const planned = world.replay.next(name);
  const answer = await ask('generate', { ...requestFor(name), provider: 'deepinfra', model: modelOf(fixture('deepinfra/chat_basic')) });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual((await planned.arrived).body.tools, [kTool]);
  assert.deepEqual(answer.json.toolCalls.map(callOf), expectedOf(name).choices[0].calls);
  await world.takeEntry('deepinfra');
});

test('what the named provider cannot do is 422 before the call, with the capability’s name', async () => {
  const answer = await ask('generate', { prompt: 'x', tools: [kTool], provider: 'perplexity', model: 'sonar' });
  assert.equal(answer.status, 422, answer.text);
  assert.deepEqual([answer.json.code, answer.json.capability], ['unsupported_feature', 'functions']);
});

test('an answer that calls tools is repeated whole and as a stream', async () => {
  const name = 'groq/chat_tools';
  world.replay.next(name);
  const body = { ...requestFor(name), idempotencyKey: 'tools-1' };
  const first = await ask('generate', body);
  const again = await ask('generate', body);
  assert.equal(again.headers.get('idempotent-replay'), 'true');
  assert.deepEqual(again.json.toolCalls, first.json.toolCalls);
  expectCharge(name, expectedOf(name).usage);
  await world.settled();

  world.replay.next(name);
  const streamable = { ...requestFor(name), cache: true };
  const kept = await ask('generate', streamable);
  const stream = await ask('stream', streamable);
  assert.equal(stream.headers.get('x-holdfast-cache'), 'hit', stream.text);
  const { whole, last } = read(stream.text);
  assert.deepEqual(whole.toolCalls.map(callOf), kept.json.toolCalls.map(callOf));
  assert.deepEqual(last.data.toolCalls, kept.json.toolCalls);
  expectCharge(name, expectedOf(name).usage);
  const [provider] = name.split('/');
  world.expectEntry({ provider, model: modelOf(fixture(name)), usage: expectedOf(name).usage, hit: true });
});
