// GET /api/ai/health asks the active providers whether they are there: seldom, and at no charge.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { fixture } from './support/fixtures.mjs';
import { kProviderKey } from './support/gateway.mjs';
import { World, kProviders } from './support/world.mjs';

let world;
before(async () => (world = await World.create({ everyProvider: true })));
afterEach(() => world.verify());
after(() => world.close());

const healthOf = (gateway) => world.http('GET', '/api/ai/health', { key: null, gateway });

// The health once every provider has been asked. Nobody waits for them: the first answers say `configured`.
async function checked(gateway) {
  for (let tries = 0; tries < 400; tries++) {
    const { json } = await healthOf(gateway);
    if (kProviders.every((name) => json.providers[name].status !== 'configured')) return json;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return assert.fail('a provider is never asked');
}

test('every active provider is asked once, with its own key and nothing that it would charge', async () => {
  const { providers, overall } = await checked(world.gateway);
  assert.equal(overall, 'healthy');
  for (const name of kProviders) {
    assert.equal(providers[name].status, 'healthy', name);
    assert.ok(providers[name].latencyMs >= 0 && providers[name].ageMs >= 0, name);
  }
  assert.equal(providers.custom.status, 'not_configured');
  assert.deepEqual(
    world.replay.checks.map(({ path }) => path).sort(),
    [
      '/anthropic/v1/models?limit=1',
      '/cohere/v1/models?page_size=1',
      '/deepinfra/v1/openai/models',
      '/gemini/v1beta/models?pageSize=1',
      '/groq/openai/v1/models',
      '/mistral/v1/models',
      '/openai/v1/models',
      '/openrouter/api/v1/key',
      '/perplexity/models',
      '/together/v1/models',
    ],
  );
  for (const { path, headers } of world.replay.checks) {
    const provider = path.split('/')[1];
    const header = { anthropic: 'x-api-key', gemini: 'x-goog-api-key' }[provider];
    assert.equal(header ? headers[header] : headers.authorization, header ? kProviderKey : `Bearer ${kProviderKey}`, path);
  }
  for (let times = 0; times < 5; times++) assert.equal((await healthOf()).status, 200);
  assert.equal(world.replay.checks.length, kProviders.length, 'what is known is told again');
  assert.deepEqual(world.replay.requests, [], 'no call was made');
});

test('a bad key, a limit, a failure and one who is not there are told apart, and no key is told', async () => {
  const answers = world.replay.checkAnswers;
  const recorded = (name) => ({ status: fixture(name).response.status, body: fixture(name).response.body });
  answers.set('/openai/v1/models', recorded('openai/error_401_invalid_key'));
  answers.set('/gemini/v1beta/models?pageSize=1', recorded('gemini/error_400_invalid_key'));
  answers.set('/groq/openai/v1/models', recorded('groq/error_429_tpm'));
  answers.set('/anthropic/v1/models?limit=1', recorded('anthropic/error_529_overloaded'));
  answers.set('/perplexity/models', { status: 404, body: {} });
  answers.set('/mistral/v1/models', { status: 0 });
  const { providers, overall } = await checked(await world.startGateway());
  const statuses = Object.fromEntries(kProviders.map((name) => [name, providers[name].status]));
  assert.deepEqual(statuses, {
    openai: 'unauthorized',
    anthropic: 'failing',
    gemini: 'unauthorized',
    groq: 'limited',
    perplexity: 'reachable',
    mistral: 'unreachable',
    together: 'healthy',
    cohere: 'healthy',
    openrouter: 'healthy',
    deepinfra: 'healthy',
  });
  assert.equal(overall, 'healthy', 'the gateway itself can work');
  answers.clear();
});
