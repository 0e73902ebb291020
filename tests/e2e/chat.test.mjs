// Calls that go well, as the SDK sees them, as the provider sees them, and as the ledger keeps them.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { chunksOf, fixture, usageOf } from './support/fixtures.mjs';
import { kProviderKey } from './support/gateway.mjs';
import { decimal, moneyIn, usd } from './support/money.mjs';
import { World, readStream } from './support/world.mjs';

let world;
before(async () => (world = await World.create()));
afterEach(() => world.verify());
after(() => world.close());

const kHello = [{ role: 'user', content: 'Hello!' }];

// The text that the recorded stream says.
function textOf(chunks) {
  return chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
}

test('a chat completion is answered, priced and told in headers', async () => {
  const recorded = fixture('chat_basic');
  const planned = world.replay.next('chat_basic');
  const workflow = await world.database.workflow(world.organization.id);
  const { data, response } = await world.client.chat.completions
    .create({ model: 'gpt-5-nano', messages: kHello }, { headers: { 'X-Holdfast-Workflow': workflow } })
    .withResponse();
  const body = recorded.response.body;
  assert.equal(data.choices[0].message.content, body.choices[0].message.content);
  assert.equal(data.choices[0].finish_reason, 'stop');
  assert.equal(data.model, body.model);
  assert.equal(data.object, 'chat.completion');
  assert.equal(data.usage.prompt_tokens, 8);
  assert.equal(data.usage.completion_tokens, 377);
  assert.equal(data.usage.total_tokens, 385);
  assert.equal(data.usage.completion_tokens_details.reasoning_tokens, 320);

  const asked = await planned.arrived;
  assert.equal(asked.path, '/v1/chat/completions');
  assert.equal(asked.headers.authorization, `Bearer ${kProviderKey}`);
  assert.deepEqual(asked.body.messages, kHello);
  assert.equal(asked.body.max_completion_tokens, 1024, 'the bound that the hold was sized for');

  const cost = world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(recorded), workflow });
  assert.equal(decimal(usd(response.headers.get('x-holdfast-cost'))), decimal(cost));
  assert.equal(decimal(usd(response.headers.get('x-holdfast-remaining'))), decimal(usd('1') - cost));
  assert.ok(response.headers.get('x-holdfast-request'));
});

test('the caller’s max_tokens bounds what the provider may make', async () => {
  const planned = world.replay.next('chat_reasoning');
  await world.client.chat.completions.create({ model: 'openai/gpt-5-nano', messages: kHello, max_completion_tokens: 300 });
  const asked = await planned.arrived;
  assert.equal(asked.body.model, 'gpt-5-nano');
  assert.equal(asked.body.max_completion_tokens, 300);
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_reasoning')) });
});

test('cached prompt tokens are counted by their own price', async () => {
  const recorded = fixture('chat_cached');
  const usage = usageOf(recorded);
  assert.ok(usage.cached > 0);
  const { model, messages } = recorded.request.body;
  world.replay.next('chat_cached');
  const data = await world.client.chat.completions.create({ model, messages });
  assert.equal(data.usage.prompt_tokens_details.cached_tokens, usage.cached);
  world.expectEntry({ model, usage });
});

test('tools go to the provider as they are, and its tool calls come back', async () => {
  const recorded = fixture('chat_tools');
  const planned = world.replay.next('chat_tools');
  const { messages, tools, tool_choice } = recorded.request.body;
  const data = await world.client.chat.completions.create({ model: 'gpt-5-nano', messages, tools, tool_choice });
  assert.deepEqual((await planned.arrived).body.tools, tools);
  assert.deepEqual(data.choices[0].message.tool_calls, recorded.response.body.choices[0].message.tool_calls);
  assert.equal(data.choices[0].finish_reason, 'tool_calls');
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(recorded) });
});

test('a stream arrives whole, with its usage', async () => {
  const recorded = fixture('stream_basic');
  const planned = world.replay.next('stream_basic');
  const stream = await world.client.chat.completions.create({
    model: 'gpt-4',
    messages: [{ role: 'user', content: 'Say this is a test' }],
    stream: true,
    stream_options: { include_usage: true },
  });
  const { chunks, text, usage } = await readStream(stream);
  assert.equal(text, textOf(chunksOf(recorded)));
  assert.equal(chunks[0].choices[0].delta.role, 'assistant');
  assert.equal(usage.total_tokens, chunksOf(recorded).at(-1).usage.total_tokens);
  assert.deepEqual(chunks.at(-1).choices, [], 'the usage chunk is the last');
  const asked = await planned.arrived;
  assert.equal(asked.body.stream, true);
  assert.equal(asked.body.max_tokens, 1024);
  world.expectEntry({ model: 'gpt-4', usage: usageOf(recorded) });
});

test('a stream’s usage is settled even when the client did not ask for it', async () => {
  const recorded = fixture('stream_usage_details');
  const planned = world.replay.next('stream_usage_details');
  const stream = await world.client.chat.completions.create({ model: 'gpt-5-nano', messages: kHello, stream: true });
  const { chunks, usage } = await readStream(stream);
  assert.equal(usage, undefined);
  assert.equal(typeof chunks.at(-1).holdfast.costUSD, 'number', 'the cost comes with the last chunk');
  assert.ok(chunks.every((chunk) => chunk.choices.length > 0));
  assert.deepEqual((await planned.arrived).body.stream_options, { include_usage: true });
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(recorded) });
});

test('a stream without usage is counted, and marked as estimated', async () => {
  const recorded = fixture('stream_no_usage');
  world.replay.next('stream_no_usage');
  const messages = recorded.request.body.messages;
  const stream = await world.client.chat.completions.create({ model: 'gpt-4o-mini', messages, stream: true });
  const { text } = await readStream(stream);
  assert.equal(text, textOf(chunksOf(recorded)));
  const tokens = (string) => Math.ceil(Buffer.byteLength(string) / 4);
  const usage = { prompt: tokens(messages[0].role + messages[0].content), completion: tokens(text) };
  world.expectEntry({ model: 'gpt-4o-mini', usage, estimated: true });
});

test('a streamed tool call can be put together', async () => {
  const recorded = fixture('stream_tools');
  world.replay.next('stream_tools');
  const { messages, tools } = recorded.request.body;
  const stream = world.client.beta.chat.completions.stream({ model: 'gpt-4o', messages, tools });
  const [call] = (await stream.finalChatCompletion()).choices[0].message.tool_calls;
  const pieces = chunksOf(recorded).flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? []);
  assert.equal(call.function.name, 'calculate_square_tool');
  assert.equal(call.function.arguments, pieces.map((piece) => piece.function.arguments).join(''));
  assert.equal(call.id, pieces[0].id);
  world.expectEntry({ model: 'gpt-4o', usage: usageOf(recorded) });
});

test('/api/ai/generate answers in its own shape', async () => {
  const recorded = fixture('chat_basic');
  const planned = world.replay.next('chat_basic');
  const workflow = await world.database.workflow(world.organization.id);
  const answer = await world.http('POST', '/api/ai/generate', {
    body: {
      prompt: 'Hello!',
      systemPrompt: 'Be short.',
      temperature: 0.5,
      maxTokens: 400,
      model: 'gpt-5-nano',
      provider: 'openai',
      userId: 'ada',
      workflowId: workflow,
    },
  });
  assert.equal(answer.status, 200, answer.text);
  const { success, requestId, latencyMs, costUSD, ...rest } = answer.json;
  assert.equal(success, true);
  assert.equal(requestId, answer.headers.get('x-holdfast-request'));
  assert.ok(latencyMs >= 0);
  assert.deepEqual(rest, {
    content: recorded.response.body.choices[0].message.content,
    finishReason: 'stop',
    usage: {
      promptTokens: 8,
      completionTokens: 377,
      totalTokens: 385,
      cachedTokens: 0,
      cacheWriteTokens: 0,
      reasoningTokens: 320,
    },
    provider: 'openai',
    model: recorded.response.body.model,
    cached: false,
    fallbackUsed: false,
    routing: { strategy: 'specified', reason: 'named by the caller' },
  });
  const asked = await planned.arrived;
  assert.deepEqual(asked.body.messages, [
    { role: 'system', content: 'Be short.' },
    { role: 'user', content: 'Hello!' },
  ]);
  assert.equal(asked.body.max_completion_tokens, 400);
  const cost = world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(recorded), workflow });
  assert.equal(typeof costUSD, 'number');
  assert.equal(decimal(moneyIn(answer.text, 'costUSD')), decimal(cost));
});

test('/api/ai/stream streams pieces and ends with the figures', async () => {
  const recorded = fixture('stream_basic');
  world.replay.next('stream_basic');
  const answer = await world.http('POST', '/api/ai/stream', { body: { prompt: 'Say this is a test', model: 'gpt-4' } });
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers.get('content-type'), /^text\/event-stream/);
  const events = answer.text.split('\n\n').filter(Boolean).map((event) => {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event);
    return { name, data: JSON.parse(data) };
  });
  const last = events.pop();
  assert.ok(events.every(({ name }) => name === 'delta'));
  assert.equal(events.map(({ data }) => data.content).join(''), textOf(chunksOf(recorded)));
  assert.equal(last.name, 'done');
  assert.equal(last.data.content, textOf(chunksOf(recorded)));
  const cost = world.expectEntry({ model: 'gpt-4', usage: usageOf(recorded) });
  assert.equal(decimal(moneyIn(answer.text, 'costUSD')), decimal(cost));
});

test('the models of the active providers are listed', async () => {
  const models = [];
  for await (const model of world.client.models.list()) models.push(model.id);
  assert.ok(models.includes('gpt-4o-mini') && models.includes('gpt-5-nano'), models.join());
});

test('providers and health are told', async () => {
  const providers = await world.http('GET', '/api/ai/providers');
  assert.equal(providers.status, 200, providers.text);
  const openai = providers.json.providers.find(({ name }) => name === 'openai');
  assert.equal(openai.isConfigured, true);
  assert.equal(openai.defaultModel, 'gpt-4o-mini');
  assert.ok(!providers.text.includes(kProviderKey));
  const health = await world.http('GET', '/api/ai/health', { key: null });
  assert.equal(health.status, 200, health.text);
  assert.equal(health.json.overall, 'healthy');
  assert.equal(health.json.routing.activeProviders, 1);
  assert.equal(health.json.providers.groq.status, 'not_configured');
});
