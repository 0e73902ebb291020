// Everything a test file needs: a database, a provider that replays, a gateway, an organization, and the books that
// the ledger is compared to after each test.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { Database } from './database.mjs';
import { fixture, modelOf, recordingsOf } from './fixtures.mjs';
import { Gateway, kProviderKey } from './gateway.mjs';
import { costOf, decimal, usd } from './money.mjs';
import { Replay } from './replay.mjs';

// Prices with odd digits, so that a rounded or doubled figure shows. The models are those of the recordings.
const kPrices = {
  'gpt-5-nano': { input: '0.0513', output: '0.4171', cached: '0.00517' },
  'gpt-4o': { input: '2.51', output: '10.03', cached: '1.249' },
  'gpt-4': { input: '30.03', output: '60.07' },
  'gpt-3.5-turbo': { input: '0.5', output: '1.5' },
};

// Where each provider's API lies below its own host; the replay server has one folder for each.
const kBasePaths = {
  openai: '/v1',
  anthropic: '',
  gemini: '/v1beta',
  groq: '/openai/v1',
  perplexity: '',
  mistral: '/v1',
  together: '/v1',
  cohere: '',
  openrouter: '/api/v1',
  deepinfra: '/v1/openai',
};
export const kProviders = Object.keys(kBasePaths);

const kShippedPrices = { 'gpt-4o-mini': { input: '0.15', output: '0.60' } };

export class World {
  #expected = [];
  #seen = new Map();
  #keys = [];
  #gateways = [];
  #providerKey;
  #everyProvider;

  // `prices` are further prices, or others, than kPrices. Without a provider's key only the sandbox is active;
  // `everyProvider` makes all ten active, each below a folder of its name.
  static async create({ prices = {}, providerKey = kProviderKey, everyProvider = false, flags = [] } = {}) {
    const world = new World();
    world.#providerKey = providerKey;
    world.#everyProvider = everyProvider;
    world.database = await Database.create();
    world.replay = await Replay.start();
    world.prices = { ...kPrices, ...prices };
    for (const [model, price] of Object.entries(world.prices)) await world.database.price('openai', model, price);
    world.gateway = await world.startGateway({ flags });
    world.organization = await world.newOrganization();
    world.client = world.clientOf(world.organization.key);
    return world;
  }

  // One more gateway, or one in place of `this.gateway`, with the replay server as provider openai.
  async startGateway({ flags = [], database = this.database.conninfo, env = {} } = {}) {
    const gateway = await Gateway.start({
      database,
      flags: ['--max-retries', '0', '--run-steps', '0', ...flags], // no traffic but the tests' own
      env: { ...this.#providerSettings(), ...env },
    });
    this.#gateways.push(gateway);
    return gateway;
  }

  #providerSettings() {
    if (!this.#providerKey) return { OPENAI_BASE_URL: this.replay.baseUrl };
    if (!this.#everyProvider) return { OPENAI_BASE_URL: this.replay.baseUrl, OPENAI_API_KEY: this.#providerKey };
    const settings = {};
    for (const [name, path] of Object.entries(kBasePaths)) {
      settings[`${name.toUpperCase()}_API_KEY`] = this.#providerKey;
      settings[`${name.toUpperCase()}_BASE_URL`] = `${this.replay.origin}/${name}${path}`;
    }
    return settings;
  }

  // One more price, of any provider.
  async price(provider, model, price) {
    this.prices[`${provider}/${model}`] = price;
    await this.database.price(provider, model, price);
  }

  // One price for every model that the recordings of these providers ask for; OpenAI's and the shipped ones have theirs.
  async priceRecordings(providers, price) {
    for (const name of providers.flatMap(recordingsOf)) {
      const [provider] = name.split('/');
      const model = modelOf(fixture(name));
      const priced = model.toLowerCase();
      if (provider === 'openai' && (priced in kShippedPrices || priced in kPrices)) continue;
      if (provider === 'perplexity' && priced === 'sonar') this.prices['perplexity/sonar'] = { input: '1', output: '1' };
      else if (!(`${provider}/${priced}` in this.prices)) await this.price(provider, priced, price);
      this.prices[`${provider}/${model}`] = this.prices[`${provider}/${priced}`];
    }
  }

  async newOrganization() {
    const organization = await this.database.organization();
    this.#keys.push(organization.key);
    return organization;
  }

  // The official SDK, without its own retries.
  clientOf(key, gateway = this.gateway) {
    return new OpenAI({ apiKey: key, baseURL: `${gateway.baseUrl}/v1`, maxRetries: 0 });
  }

  // One HTTP request as it is: {status, headers, text, json}.
  async http(method, path, { body, headers = {}, key = this.organization.key, gateway = this.gateway } = {}) {
    const response = await fetch(gateway.baseUrl + path, {
      method,
      headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), 'content-type': 'application/json', ...headers },
      body: body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
    });
    const text = await response.text();
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: response.status, headers: response.headers, text, json };
  }

  // Writes into the test's own books what the ledger must say. Returns the cost as 1e-18 USD.
  expectEntry({ model, usage, workflow = null, provider = 'openai', estimated = false, fallback = false, hit = false, organization }) {
    const prices = { ...kShippedPrices, ...this.prices };
    // Answered from the cache, it costs nothing.
    const cost = hit ? 0n : costOf(usage, prices[`${provider}/${model}`] ?? prices[model]);
    this.#expected.push({
      organization: (organization ?? this.organization).id,
      workflow,
      provider,
      model,
      prompt: usage.prompt,
      completion: usage.completion,
      cached: usage.cached ?? 0,
      estimated,
      fallback,
      hit,
      cost: decimal(cost),
    });
    return cost;
  }

  // The new entries, where their figures are not what is tested.
  takeEntries() {
    return this.#newEntries();
  }

  // The one new entry, of a call whose figures cannot be known beforehand: charged, and to this provider.
  async takeEntry(provider) {
    const entries = await this.#newEntries();
    assert.equal(entries.length, 1, 'new ledger entries');
    assert.equal(entries[0].provider, provider);
    assert.ok(entries[0].prompt > 0 && usd(entries[0].cost) > 0n, JSON.stringify(entries[0]));
    return entries[0];
  }

  // The entries that were not there at the last verify().
  async #newEntries() {
    const entries = await this.database.query(
      `SELECT id, organization_id AS organization, workflow_id AS workflow, provider, model, prompt_tokens AS prompt,
              completion_tokens AS completion, coalesce(cached_tokens, 0) AS cached, estimated,
              fallback_used AS fallback, cache_hit AS hit, cost::text
         FROM holdfast.ai_usage_ledger`,
    );
    const fresh = entries.filter(({ id }) => !this.#seen.has(id));
    for (const entry of fresh) this.#seen.set(entry.id, entry);
    return fresh.map(({ id, ...entry }) => entry);
  }

  openHolds() {
    return this.database.value(
      `SELECT count(*)::int FROM holdfast.holds WHERE status = 'open' AND expires_at > now()`,
    );
  }

  // Waits until no hold is open: settlements after a client has gone have no one to answer to.
  async settled() {
    for (let tries = 0; tries < 400; tries++) {
      if ((await this.openHolds()) === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    assert.fail('a hold stays open');
  }

  // The ledger has got what the test's own books say, to the last digit; totals are its sums; nothing stays held.
  async verify() {
    const asText = (entries) =>
      entries.map((entry) => JSON.stringify({ ...entry, cost: decimal(usd(entry.cost)) })).sort();
    assert.deepEqual(asText(await this.#newEntries()), asText(this.#expected.splice(0)), 'new ledger entries');
    await this.#verifyTotals();
    assert.equal(await this.openHolds(), 0, 'open holds');
    assert.deepEqual(await this.database.query('SELECT * FROM holdfast.check_invariants()'), []);
    assert.deepEqual(this.replay.unplanned.splice(0), [], 'calls of the provider that no test planned');
    this.#verifyLogs();
    // What a test's failures taught all gateways of a provider is not the next test's.
    await this.database.query('DELETE FROM holdfast.provider_pauses');
    await this.database.query('SELECT holdfast.reset_breaker(name) FROM unnest($1::text[]) name', [kProviders]);
  }

  async #verifyTotals() {
    const sums = (name) => {
      const totals = new Map();
      for (const entry of this.#seen.values()) {
        if (entry[name]) totals.set(entry[name], (totals.get(entry[name]) ?? 0n) + usd(entry.cost));
      }
      return totals;
    };
    for (const [organization, total] of sums('organization')) {
      const cost = await this.database.value('SELECT holdfast.get_organization_monthly_ai_cost($1)', [organization]);
      assert.equal(decimal(usd(cost)), decimal(total), 'the organization’s month');
    }
    for (const [workflow, total] of sums('workflow')) {
      const cost = await this.workflowCost(workflow);
      assert.equal(decimal(cost), decimal(total), 'the workflow’s total');
    }
  }

  async workflowCost(workflow) {
    const text = await this.database.value(
      `SELECT workflow_data ->> 'total_ai_cost' FROM holdfast.intent_workflows WHERE id = $1`,
      [workflow],
    );
    return usd(text);
  }

  #verifyLogs() {
    for (const gateway of this.#gateways) assert.equal(gateway.complaints, '');
    for (const secret of [kProviderKey, ...this.#keys]) {
      for (const { log } of this.#gateways) assert.ok(!log.includes(secret), 'a secret stands in the log');
    }
  }

  async close() {
    // One that a failed test has left would keep the test's process alive.
    await Promise.all(this.#gateways.map((gateway) => gateway.stop()));
    await this.replay.stop();
    await this.database.drop();
  }
}

// A stream of the SDK, read to its end: {text, chunks, usage}.
export async function readStream(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return {
    chunks,
    text: chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''),
    usage: chunks.find((chunk) => chunk.usage)?.usage,
  };
}
