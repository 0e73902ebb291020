// The cap: what does not fit is refused with the figures, by however many callers at once.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { fixture, usageOf } from './support/fixtures.mjs';
import { costOf, decimal, moneyIn, usd } from './support/money.mjs';
import { World } from './support/world.mjs';

// A call for 400 tokens holds about $0.0084 and costs $0.0076.
const kModel = 'gpt-5-nano';
const kPrice = { input: '10.01', output: '20.03' };
const kMaxTokens = 400;
const kUsage = usageOf(fixture('chat_basic'));
const kClients = 64;

let world;
before(async () => (world = await World.create({ prices: { [kModel]: kPrice } })));
afterEach(() => world.verify());
after(() => world.close());

function generate(workflow, { key } = {}) {
  return world.http('POST', '/api/ai/generate', {
    key,
    body: { prompt: 'Hello!', model: kModel, provider: 'openai', maxTokens: kMaxTokens, workflowId: workflow },
  });
}

test('a call that the workflow’s limit does not allow is 402, with who refused and the figures', async () => {
  const workflow = await world.database.workflow(world.organization.id, '0.0001');
  const answer = await generate(workflow);
  assert.equal(answer.status, 402, answer.text);
  assert.equal(answer.json.success, false);
  assert.equal(answer.json.scope, 'workflow');
  assert.equal(decimal(moneyIn(answer.text, 'limitUSD')), '0.0001');
  assert.equal(decimal(moneyIn(answer.text, 'spentUSD')), '0');
  assert.equal(decimal(moneyIn(answer.text, 'heldUSD')), '0');
  const requested = moneyIn(answer.text, 'requestedUSD');
  assert.ok(requested > costOf({ prompt: 8, completion: kMaxTokens }, kPrice), decimal(requested));

  const headers = { 'X-Holdfast-Workflow': workflow };
  const call = { model: kModel, max_tokens: kMaxTokens, messages: [{ role: 'user', content: 'Hello!' }] };
  await assert.rejects(world.client.chat.completions.create(call, { headers }), {
    status: 402,
    code: 'budget_exceeded',
    type: 'insufficient_quota',
  });
  const denials = await world.database.value('SELECT count(*)::int FROM holdfast.budget_denials');
  assert.equal(denials, 2, 'a refusal is on record');
});

test('the organization’s month refuses as well', async () => {
  const organization = await world.newOrganization();
  await world.database.query(
    `SELECT holdfast.set_budget(p_organization_id => $1, p_scope => 'organization', p_limit_usd => 0.0001)`,
    [organization.id],
  );
  const answer = await generate(undefined, { key: organization.key });
  assert.equal(answer.status, 402, answer.text);
  assert.equal(answer.json.scope, 'organization');
});

test('a second call is refused while the first holds what is left', async () => {
  const workflow = await world.database.workflow(world.organization.id, '0.012');
  const planned = world.replay.next('chat_basic', { waits: true });
  const first = generate(workflow);
  await planned.arrived;
  const second = await generate(workflow);
  assert.equal(second.status, 402, second.text);
  assert.ok(moneyIn(second.text, 'heldUSD') > 0n);
  planned.release();
  assert.equal((await first).status, 200);
  world.expectEntry({ model: kModel, usage: kUsage, workflow });
});

test(`${kClients} concurrent clients spend a $1.00 workflow to at least $0.99 and never beyond`, async () => {
  const workflow = await world.database.workflow(world.organization.id);
  const limit = usd('1');
  let answered = 0;
  world.replay.always('chat_basic');
  // Each goes on until it is refused while nothing is in flight: then no room is left for one more call.
  const client = async () => {
    for (;;) {
      const answer = await generate(workflow);
      if (answer.status === 200) {
        answered += 1;
        continue;
      }
      assert.equal(answer.status, 402, answer.text);
      const held = moneyIn(answer.text, 'heldUSD');
      assert.ok(moneyIn(answer.text, 'spentUSD') + held <= limit, 'spent and held stay within the limit');
      if (held === 0n) return;
    }
  };
  await Promise.all(Array.from({ length: kClients }, client));
  world.replay.always(null);
  const total = await world.workflowCost(workflow);
  assert.equal(decimal(total), decimal(costOf(kUsage, kPrice) * BigInt(answered)));
  assert.ok(total <= limit, decimal(total));
  assert.ok(total >= usd('0.99'), decimal(total));
  for (let call = 0; call < answered; call++) world.expectEntry({ model: kModel, usage: kUsage, workflow });
});
