// POST /v1/embeddings, as the official SDK sees it, as the providers see it, and as the ledger keeps it.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { APIError } from 'openai';
import { fixture } from './support/fixtures.mjs';
import { kProviderKey } from './support/gateway.mjs';
import { decimal, usd } from './support/money.mjs';
import { World } from './support/world.mjs';

const kPrice = { input: '0.37', output: '0' };
const kText = 'Ruby is a programmer’s best friend';

// What each recording asks for, and the vector and tokens that it has. Together's is OpenAI's shape, from its
// documentation; Gemini counts no tokens.
const kRecorded = {
  openai: { model: 'text-embedding-3-small', dimensions: 256, tokens: 5 },
  mistral: { model: 'mistral-embed', tokens: 11 },
  cohere: { model: 'embed-v4.0', dimensions: 1024, tokens: 7 },
  gemini: { model: 'gemini-embedding-001', dimensions: 768 },
  deepinfra: { model: 'BAAI/bge-base-en-v1.5', tokens: 12 },
  openrouter: { model: 'openai/text-embedding-3-small', tokens: 7 },
};

let world;
before(async () => {
  world = await World.create({ everyProvider: true });
  for (const [provider, { model }] of Object.entries(kRecorded)) await priceEmbeddings(provider, model);
  await priceEmbeddings('together', 'BAAI/bge-base-en-v1.5');
});
afterEach(() => world.verify());
after(() => world.close());

async function priceEmbeddings(provider, model) {
  await world.database.query(
    `INSERT INTO holdfast.ai_provider_pricing
       (provider, model, cost_per_1m_input, cost_per_1m_output, effective_date, capabilities)
     VALUES ($1, $2, $3, $4, current_date - 1, '{embeddings}')`,
    [provider, model.toLowerCase(), kPrice.input, kPrice.output],
  );
  world.prices[`${provider}/${model}`] = kPrice;
}

// The vector that a recording has, whatever form it has it in.
function vectorOf(provider) {
  const { body } = fixture(`embeddings/${provider}`).response;
  const vector = body.embeddings?.float?.[0] ?? body.embeddings?.[0].values ?? body.data[0].embedding;
  if (Array.isArray(vector)) return vector.map(Math.fround);
  const bytes = Buffer.from(vector, 'base64');
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4));
}

// Settled by the provider's count, or by an estimate where it has none.
function expectCharge(provider, text = kText) {
  const { model, tokens } = kRecorded[provider];
  const prompt = tokens ?? Math.ceil(Buffer.byteLength(text) / 4);
  return world.expectEntry({ provider, model, usage: { prompt, completion: 0 }, estimated: tokens === undefined });
}

for (const [provider, { model, dimensions }] of Object.entries(kRecorded)) {
  for (const encoding_format of ['float', 'base64', undefined]) {
    test(`${provider}'s embeddings reach the SDK as they were recorded, encoding ${encoding_format ?? 'unsaid'}`, async () => {
      const planned = world.replay.next(`embeddings/${provider}`);
      const { data, response } = await world.client.embeddings
        .create({ model: `${provider}/${model}`, input: kText, dimensions, encoding_format })
        .withResponse();
      const [{ embedding, index, object }] = data.data;
      assert.deepEqual({ index, object, list: data.object }, { index: 0, object: 'embedding', list: 'list' });
      if (encoding_format === 'base64') {
        const bytes = Buffer.from(embedding, 'base64');
        assert.deepEqual(vectorOf(provider), Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4)));
      } else {
        assert.deepEqual(embedding.map(Math.fround), vectorOf(provider));
      }
      const asked = await planned.arrived;
      const recorded = fixture(`embeddings/${provider}`).request;
      assert.equal(asked.path, `/${provider}${recorded.path}`);
      const header = provider === 'gemini' ? asked.headers['x-goog-api-key'] : asked.headers.authorization;
      assert.equal(header, provider === 'gemini' ? kProviderKey : `Bearer ${kProviderKey}`);
      const cost = expectCharge(provider);
      assert.equal(decimal(usd(response.headers.get('x-holdfast-cost'))), decimal(cost));
      assert.equal(response.headers.get('x-holdfast-provider'), provider);
    });
  }
}

test('Together, in OpenAI’s shape, is asked for floats alone', async () => {
  const planned = world.replay.next('embeddings/deepinfra');
  await world.client.embeddings.create({ model: 'together/BAAI/bge-base-en-v1.5', input: kText });
  assert.deepEqual((await planned.arrived).body, { model: 'BAAI/bge-base-en-v1.5', input: [kText] });
  world.expectEntry({ provider: 'together', model: 'BAAI/bge-base-en-v1.5', usage: { prompt: 12, completion: 0 } });
});

test('the hold is the bound of the input, and a budget that has no room for it refuses with 402', async () => {
  const input = 'x'.repeat(1000);
  const bound = 1008n * usd(kPrice.input) / 1_000_000n;
  const call = (cost) =>
    world.database.workflow(world.organization.id, decimal(cost)).then((workflow) =>
      world.http('POST', '/v1/embeddings', {
        body: { model: 'mistral-embed', input },
        headers: { 'x-holdfast-workflow': workflow },
      }),
    );
  const denied = await call(bound - 1n);
  assert.equal(denied.status, 402, denied.text);
  const planned = world.replay.next('embeddings/mistral', { waits: true });
  const workflow = await world.database.workflow(world.organization.id, decimal(bound));
  const headers = { 'x-holdfast-workflow': workflow };
  const answer = world.http('POST', '/v1/embeddings', { body: { model: 'mistral-embed', input }, headers });
  await planned.arrived;
  const held = await world.database.value(
    `SELECT sum(amount)::text FROM holdfast.holds WHERE status = 'open' AND workflow_id = $1`,
    [workflow],
  );
  assert.equal(decimal(usd(held)), decimal(bound));
  planned.release();
  assert.equal((await answer).status, 200);
  world.expectEntry({ provider: 'mistral', model: 'mistral-embed', usage: { prompt: 11, completion: 0 }, workflow });
});

test('a repeat under the same key gets the same vectors and is not charged', async () => {
  world.replay.next('embeddings/cohere');
  const call = () =>
    world.client.embeddings
      .create({ model: 'embed-v4.0', input: [kText] }, { headers: { 'Idempotency-Key': 'the same vectors' } })
      .withResponse();
  const first = await call();
  const again = await call();
  assert.deepEqual(again.data, first.data);
  assert.equal(again.response.headers.get('idempotent-replay'), 'true');
  assert.equal(again.response.headers.get('x-holdfast-cost'), '0');
  expectCharge('cohere');
});

test('who has no embeddings is not asked, nor a model that makes none, nor one without a price', async () => {
  const refused = async (body, code) => {
    const error = await world.client.embeddings.create(body).then(
      () => assert.fail('it was answered'),
      (thrown) => thrown,
    );
    assert.ok(error instanceof APIError);
    assert.equal(error.status, 422, error.message);
    if (code) assert.equal(error.code, code);
    return error;
  };
  const none = await refused({ model: 'groq/llama-3.3-70b', input: 'a' }, 'unsupported_feature');
  assert.match(none.message, /embeddings/);
  assert.match((await refused({ model: 'openai/gpt-4o-mini', input: 'a' })).message, /embeddings/);
  assert.match((await refused({ model: 'text-embedding-none', input: 'a' })).message, /price/);
  await refused({ model: 'cohere/embed-v4.0', input: [[1, 2, 3]] }, 'unsupported_feature');
});

test('what is no request for embeddings is refused with the member’s name', async () => {
  const cases = [
    [{ input: 'a' }, 'model'],
    [{ model: 'mistral-embed' }, 'input'],
    [{ model: 'mistral-embed', input: ['a', ''] }, 'input[1]'],
    [{ model: 'mistral-embed', input: 'a', dimensions: 1.5 }, 'dimensions'],
    [{ model: 'auto', input: 'a' }, 'model'],
  ];
  for (const [body, param] of cases) {
    const answer = await world.http('POST', '/v1/embeddings', { body });
    assert.equal(answer.status, 400, answer.text);
    assert.equal(answer.json.error.param, param);
  }
  const long = await world.http('POST', '/v1/embeddings', {
    body: { model: 'mistral-embed', input: ['a', 'x'.repeat(51201)] },
  });
  assert.equal(long.status, 413, long.text);
});

test('a provider’s refusal charges nothing, and its vectors that cannot be read are settled as an estimate', async () => {
  world.replay.next('mistral/error_429_rate_limited');
  await assert.rejects(world.client.embeddings.create({ model: 'mistral-embed', input: kText }), { status: 429 });
  world.replay.next('mistral/chat_basic');
  await assert.rejects(world.client.embeddings.create({ model: 'mistral-embed', input: kText }), { status: 502 });
  const prompt = Math.ceil(Buffer.byteLength(kText) / 4);
  world.expectEntry({ provider: 'mistral', model: 'mistral-embed', usage: { prompt, completion: 0 }, estimated: true });
});

test('a failed provider is stood in for by the next that has the same model', async () => {
  world.replay.next('deepinfra/error_429_model_busy');
  world.replay.next('embeddings/deepinfra');
  const { data, response } = await world.client.embeddings
    .create({ model: 'BAAI/bge-base-en-v1.5', input: kText })
    .withResponse();
  assert.deepEqual(data.data[0].embedding.map(Math.fround), vectorOf('deepinfra'));
  const provider = response.headers.get('x-holdfast-provider');
  assert.ok(['deepinfra', 'together'].includes(provider));
  const usage = { prompt: 12, completion: 0 };
  world.expectEntry({ provider, model: 'BAAI/bge-base-en-v1.5', usage, fallback: true });
});
