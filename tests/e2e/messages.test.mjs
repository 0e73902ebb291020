// POST /v1/messages: the official Anthropic SDK against every recorded answer of the ten providers.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import Anthropic, { APIError } from '@anthropic-ai/sdk';
import { expectedOf, fixture, modelOf, recordingsOf, usageOf } from './support/fixtures.mjs';
import { kProviderKey } from './support/gateway.mjs';
import { decimal, usd } from './support/money.mjs';
import { World, kProviders } from './support/world.mjs';

const kPrice = { input: '1.13', output: '3.37', cached: '0.57' };
const kMessages = [{ role: 'user', content: 'What is the weather in Berlin?' }];
const kTools = [
  {
    name: 'weather',
    description: 'The weather of a place',
    input_schema: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'] },
  },
];
const kStops = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use', content_filter: 'refusal' };
// Streams that never say what they used: chat.test.mjs has them.
const kUncounted = ['openai/stream_no_usage', 'openai/stream_obfuscation'];

let world;
let client;
before(async () => {
  world = await World.create({ everyProvider: true });
  client = new Anthropic({ apiKey: world.organization.key, baseURL: world.gateway.baseUrl, maxRetries: 0 });
  await world.priceRecordings(kProviders, kPrice);
});
afterEach(() => world.verify());
after(() => world.close());

function requestFor(name) {
  const model = `${name.split('/')[0]}/${modelOf(fixture(name))}`;
  const tools = name.includes('tools') ? { tools: kTools } : {};
  return { model, max_tokens: 1024, messages: kMessages, ...tools };
}

function sameMessage(message, expected) {
  const [choice] = expected.choices;
  assert.equal(message.type, 'message');
  assert.equal(message.role, 'assistant');
  assert.equal(message.stop_reason, kStops[choice.finish]);
  const textOf = (type, member) =>
    message.content.filter((block) => block.type === type).map((block) => block[member]).join('');
  assert.equal(textOf('thinking', 'thinking'), choice.reasoning);
  assert.equal(textOf('text', 'text'), choice.content);
  const calls = message.content.filter(({ type }) => type === 'tool_use');
  assert.deepEqual(
    calls.map(({ id, name, input }) => ({ id, name, input })),
    choice.calls.map((call) => ({ ...call, arguments: undefined, input: JSON.parse(call.arguments || '{}') }))
      .map(({ id, name, input }) => ({ id, name, input })),
  );
  const { prompt, completion, cached, written } = expected.usage;
  assert.deepEqual(
    [
      message.usage.input_tokens,
      message.usage.output_tokens,
      message.usage.cache_read_input_tokens,
      message.usage.cache_creation_input_tokens,
    ],
    [prompt - cached - written, completion, cached, written],
  );
}

function expectCharge(name, usage) {
  const [provider] = name.split('/');
  world.expectEntry({ provider, model: modelOf(fixture(name)), usage, estimated: usage.estimated });
}

async function checkAnswer(name) {
  const expected = expectedOf(name);
  world.replay.next(name);
  const { data, response } = await client.messages.create(requestFor(name)).withResponse();
  sameMessage(data, expected);
  assert.ok(usd(response.headers.get('x-holdfast-cost')) > 0n);
  expectCharge(name, expected.usage);
}

async function checkStream(name) {
  const expected = expectedOf(name);
  world.replay.next(name);
  const stream = client.messages.stream(requestFor(name));
  let costs;
  stream.on('streamEvent', (event) => (costs = event.holdfast ?? costs));
  if (expected.error) {
    await assert.rejects(stream.finalMessage());
    await world.settled();
    await world.takeEntry(name.split('/')[0]);
    return;
  }
  const message = await stream.finalMessage();
  sameMessage(message, expected);
  assert.equal(typeof costs.costUSD, 'number');
  expectCharge(name, expected.usage);
}

async function checkError(name) {
  const { status } = fixture(name).response;
  world.replay.next(name);
  await assert.rejects(client.messages.create(requestFor(name)), (error) => {
    assert.ok(error instanceof APIError, String(error));
    assert.ok(error.status >= 400, `${status} is told as ${error.status}`);
    assert.equal(error.error.type, 'error');
    assert.equal(typeof error.error.error.type, 'string');
    assert.ok(error.error.error.message.includes(name.split('/')[0]));
    assert.ok(!JSON.stringify(error.error).includes(kProviderKey));
    return true;
  });
}

for (const name of kProviders.flatMap(recordingsOf).filter((recording) => !kUncounted.includes(recording))) {
  const kind = name.split('/')[1];
  if (kind.startsWith('error')) test(`${name} is an error in Anthropic’s shape`, () => checkError(name));
  else if (kind.startsWith('stream')) test(`${name} streams through as a message`, () => checkStream(name));
  else test(`${name} comes through as a message`, () => checkAnswer(name));
}

test('a turn with tool results reaches another provider in its own shape', async () => {
  const planned = world.replay.next('chat_basic');
  await client.messages.create({
    model: 'openai/gpt-5-nano',
    max_tokens: 300,
    system: [{ type: 'text', text: 'Be short.', cache_control: { type: 'ephemeral' } }],
    messages: [
      { role: 'user', content: 'The weather?' },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'I ask.', signature: '' },
          { type: 'text', text: 'One moment.' },
          { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { place: 'Berlin' } },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'toolu_1', content: [{ type: 'text', text: '15 degrees' }] },
          { type: 'text', text: 'And now?' },
        ],
      },
    ],
    tools: kTools,
    tool_choice: { type: 'any', disable_parallel_tool_use: true },
    stop_sequences: ['END'],
    temperature: 0.5,
    metadata: { user_id: 'ada' },
  });
  const { body } = await planned.arrived;
  assert.deepEqual(body.messages, [
    { role: 'system', content: 'Be short.' },
    { role: 'user', content: 'The weather?' },
    {
      role: 'assistant',
      content: 'One moment.',
      tool_calls: [{ id: 'toolu_1', type: 'function', function: { name: 'weather', arguments: '{"place":"Berlin"}' } }],
    },
    { role: 'tool', content: '15 degrees', tool_call_id: 'toolu_1' },
    { role: 'user', content: 'And now?' },
  ]);
  assert.equal(body.max_completion_tokens, 300);
  assert.equal(body.tool_choice, 'required');
  assert.equal(body.parallel_tool_calls, false);
  assert.deepEqual(body.stop, ['END']);
  assert.deepEqual(body.tools[0].function.parameters, kTools[0].input_schema);
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
});

test('the key may come as a bearer token too, and a bad one is told in Anthropic’s shape', async () => {
  const bearer = new Anthropic({ authToken: world.organization.key, apiKey: null, baseURL: world.gateway.baseUrl, maxRetries: 0 });
  world.replay.next('anthropic/messages_basic');
  const name = 'anthropic/messages_basic';
  await bearer.messages.create(requestFor(name));
  expectCharge(name, expectedOf(name).usage);
  const stranger = new Anthropic({ apiKey: 'hf_none', baseURL: world.gateway.baseUrl, maxRetries: 0 });
  await assert.rejects(stranger.messages.create(requestFor(name)), (error) => {
    assert.equal(error.status, 401);
    assert.equal(error.error.error.type, 'authentication_error');
    return true;
  });
});

const kRefused = [
  [{ max_tokens: undefined }, 'max_tokens'],
  [{ messages: [] }, 'messages'],
  [{ messages: [{ role: 'system', content: 'x' }] }, 'messages[0].role'],
  [{ thinking: { type: 'enabled', budget_tokens: 1024 } }, 'thinking'],
  [{ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools[0].type'],
  [{ messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'base64' } }] }] }, 'messages[0].content[0].source.type'],
];
for (const [change, param] of kRefused) {
  test(`a bad ${param} is named`, async () => {
    const request = { ...requestFor('anthropic/messages_basic'), ...change };
    const answer = await world.http('POST', '/v1/messages', { body: request });
    assert.equal(answer.status, 400, answer.text);
    assert.equal(answer.json.error.type, 'invalid_request_error');
    assert.equal(answer.json.error.param, param);
    assert.equal(answer.json.request_id, answer.headers.get('x-holdfast-request'));
  });
}

test('a repeat under the same Idempotency-Key is answered from the store, streamed or not', async () => {
  const name = 'anthropic/stream_tools';
  const headers = { 'Idempotency-Key': randomUUID() };
  world.replay.next(name);
  const first = await client.messages.stream(requestFor(name), { headers }).finalMessage();
  const again = await client.messages.stream(requestFor(name), { headers }).finalMessage();
  assert.deepEqual(again.content, first.content);
  assert.deepEqual(again.usage, first.usage);
  expectCharge(name, expectedOf(name).usage);
});

test('a call over the budget is a billing error', async () => {
  const workflow = await world.database.workflow(world.organization.id, '0.000001');
  const headers = { 'X-Holdfast-Workflow': workflow };
  await assert.rejects(client.messages.create(requestFor('anthropic/messages_basic'), { headers }), (error) => {
    assert.equal(error.status, 402);
    assert.equal(error.error.error.type, 'billing_error');
    assert.equal(error.error.error.code, 'budget_exceeded');
    return true;
  });
  assert.equal(decimal(await world.workflowCost(workflow)), '0');
});
