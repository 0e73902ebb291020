// A gateway without any provider key: the sandbox answers, marked, and costs exactly what was held.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { decimal, moneyIn, usd } from './support/money.mjs';
import { World, readStream } from './support/world.mjs';

let world;
before(async () => (world = await World.create({ providerKey: null })));
afterEach(() => world.verify());
after(() => world.close());

const kMessages = [{ role: 'user', content: 'Hello!' }];

// The gateway counts a prompt's bytes, 8 for each message and 16 besides; the sandbox uses all it may.
function usageOf(content, maxTokens) {
  return { prompt: Buffer.byteLength(`user${content}`) + 8 + 16, completion: maxTokens };
}

test('an answer is marked, and as long as it may be', async () => {
  const workflow = await world.database.workflow(world.organization.id);
  const { data, response } = await world.client.chat.completions
    .create(
      { model: 'gpt-4o-mini', max_tokens: 20, messages: kMessages },
      { headers: { 'X-Holdfast-Workflow': workflow } },
    )
    .withResponse();
  assert.match(data.choices[0].message.content, /^\[sandbox\] /);
  assert.equal(data.usage.completion_tokens, 20);
  const usage = usageOf('Hello!', 20);
  const cost = world.expectEntry({ model: 'gpt-4o-mini', provider: 'sandbox', usage, workflow });
  assert.equal(decimal(usd(response.headers.get('x-holdfast-cost'))), decimal(cost));
  assert.equal(decimal(usd(response.headers.get('x-holdfast-remaining'))), decimal(usd('1') - cost));
});

test('a stream says the same as an answer', async () => {
  const call = { model: 'sandbox/gpt-4o-mini', max_tokens: 20, messages: kMessages };
  const whole = await world.client.chat.completions.create(call);
  const { text } = await readStream(await world.client.chat.completions.create({ ...call, stream: true }));
  assert.equal(text, whole.choices[0].message.content);
  world.expectEntry({ model: 'gpt-4o-mini', provider: 'sandbox', usage: usageOf('Hello!', 20) });
  world.expectEntry({ model: 'gpt-4o-mini', provider: 'sandbox', usage: usageOf('Hello!', 20) });
});

test('of twenty concurrent calls against a budget for five, five are answered', async () => {
  const body = { prompt: 'One of twenty.', model: 'gpt-4o-mini', maxTokens: 200 };
  const usage = usageOf(body.prompt, 200);
  const first = await world.http('POST', '/api/ai/generate', { body });
  const cost = world.expectEntry({ model: 'gpt-4o-mini', provider: 'sandbox', usage });
  assert.equal(decimal(moneyIn(first.text, 'costUSD')), decimal(cost));

  const workflow = await world.database.workflow(world.organization.id, decimal(5n * cost));
  const call = () => world.http('POST', '/api/ai/generate', { body: { ...body, workflowId: workflow } });
  const answers = await Promise.all(Array.from({ length: 20 }, call));
  const refused = answers.filter(({ status }) => status === 402);
  assert.equal(answers.filter(({ status }) => status === 200).length, 5);
  assert.equal(refused.length, 15);
  for (const { text } of refused) {
    assert.equal(decimal(moneyIn(text, 'limitUSD')), decimal(5n * cost));
    assert.equal(decimal(moneyIn(text, 'spentUSD') + moneyIn(text, 'heldUSD')), decimal(5n * cost));
  }
  for (let calls = 0; calls < 5; calls++) {
    world.expectEntry({ model: 'gpt-4o-mini', provider: 'sandbox', usage, workflow });
  }
});

test('a model of a provider without a key is 422', async () => {
  const answer = await world.http('POST', '/api/ai/generate', { body: { prompt: 'Hello!', provider: 'openai' } });
  assert.equal(answer.status, 422, answer.text);
  assert.equal(answer.json.code, 'provider_not_configured');
});
