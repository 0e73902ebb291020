// A budget for exactly ten calls: however many ask at once, through however many gateways, ten reach the provider.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { costOf, decimal, usd } from './support/money.mjs';
import { Upstream } from './support/upstream.mjs';
import { World } from './support/world.mjs';

// Prompts are free and each answer uses all it may: a call costs what was held for it, so no room comes back.
const kModel = 'ten-calls';
const kPrice = { input: '0', output: '10.07' };
const kMaxTokens = 100;
const kCalls = 10;
const kCost = costOf({ prompt: 0, completion: kMaxTokens }, kPrice);
const kUpstreamMs = 300;

let world;
let upstream;
let gateways;
before(async () => {
  world = await World.create({ prices: { [kModel]: kPrice } });
  upstream = await Upstream.start({ delayMs: kUpstreamMs });
  const options = { flags: ['--threads', '256'], env: { OPENAI_BASE_URL: upstream.baseUrl } };
  gateways = [await world.startGateway(options), await world.startGateway(options)];
});
after(async () => {
  await upstream.stop();
  await world.close();
});

// Each gives an organization and headers whose budget is ten calls.
const kBudgets = {
  'a workflow': async (limit) => {
    const workflow = await world.database.workflow(world.organization.id, limit);
    return { organization: world.organization, headers: { 'X-Holdfast-Workflow': workflow } };
  },
  'an organization’s month': async (limit) => {
    const organization = await world.newOrganization();
    await world.database.query(`SELECT holdfast.set_budget(p_organization_id => $1, p_scope => 'organization', p_limit_usd => $2)`, [
      organization.id,
      limit,
    ]);
    return { organization, headers: {} };
  },
};

for (const [budget, make] of Object.entries(kBudgets)) {
  for (const clients of [50, 500]) {
    for (const through of [1, 2]) {
      test(`${budget} for ${kCalls} calls, ${clients} at once through ${through} gateway(s): ${kCalls} reach the provider`, async () => {
        const { organization, headers } = await make(decimal(kCost * BigInt(kCalls)));
        const ask = (client) =>
          world.http('POST', '/v1/chat/completions', {
            gateway: gateways[client % through],
            key: organization.key,
            headers,
            body: { model: kModel, max_tokens: kMaxTokens, messages: [{ role: 'user', content: `Call ${client}` }] },
          });
        upstream.forget();
        const answers = await Promise.all(Array.from({ length: clients }, (_, client) => ask(client)));
        answers.push(await ask(clients));

        const statuses = answers.map(({ status }) => status);
        assert.equal(statuses.filter((status) => status === 200).length, kCalls);
        assert.deepEqual([...new Set(statuses)].sort(), [200, 402]);
        assert.equal(upstream.calls, kCalls, 'calls that reached the provider');
        const entries = await world.takeEntries();
        assert.equal(entries.length, kCalls, 'entries of the ledger');
        const spent = entries.reduce((sum, { cost }) => sum + usd(cost), 0n);
        assert.equal(decimal(spent), decimal(kCost * BigInt(kCalls)));
        assert.equal(await world.openHolds(), 0);
        assert.deepEqual(await world.database.query('SELECT * FROM holdfast.check_invariants()'), []);
      });
    }
  }
}
