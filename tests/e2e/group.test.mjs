// Calls of many organizations at once share transactions: what becomes of one is nothing to the others.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { Upstream } from './support/upstream.mjs';
import { World } from './support/world.mjs';

const kModel = 'shared';
const kMaxTokens = 10;

let world;
let upstream;
let gateway;
before(async () => {
  world = await World.create({ prices: { [kModel]: { input: '1', output: '2' } } });
  upstream = await Upstream.start();
  gateway = await world.startGateway({ env: { OPENAI_BASE_URL: upstream.baseUrl } });
});
after(async () => {
  await upstream.stop();
  await world.close();
});

const organizations = (count) => Promise.all(Array.from({ length: count }, () => world.newOrganization()));

function ask({ key }, model = kModel, through = gateway, headers = {}) {
  const body = { model, max_tokens: kMaxTokens, messages: [{ role: 'user', content: key }] };
  return world.http('POST', '/v1/chat/completions', { gateway: through, key, body, headers });
}

async function entriesOf(organization) {
  return Number(await world.database.value('SELECT count(*) FROM holdfast.ai_usage_ledger WHERE organization_id = $1', [organization.id]));
}

test('of many calls at once each has its own answer', async () => {
  const query = (sql, ...values) => world.database.query(sql, values);
  const kinds = {
    200: async () => {},
    401: ({ id, keyId }) => query('SELECT holdfast.revoke_api_key($1, $2)', keyId, id),
    402: ({ id }) => query(`SELECT holdfast.set_budget(p_organization_id => $1, p_scope => 'organization', p_limit_usd => 0)`, id),
    422: async () => {},
  };
  const callers = (await organizations(40)).map((organization, i) => ({ ...organization, expected: i % 10 < 7 ? 200 : [401, 402, 422][i % 10 - 7] }));
  for (const caller of callers) await kinds[caller.expected](caller);
  const answers = await Promise.all(callers.flatMap((caller) =>
    [1, 2, 3].map(async () => ({ caller, ...(await ask(caller, caller.expected === 422 ? 'of-no-price' : kModel)) }))));
  for (const { caller, status, text } of answers) assert.equal(status, caller.expected, text);
  for (const caller of callers) {
    assert.equal(await entriesOf(caller), caller.expected === 200 ? 3 : 0);
    assert.equal(upstream.asked.get(caller.key) ?? 0, caller.expected === 200 ? 3 : 0);
  }
  await world.takeEntries();
  assert.equal(await world.openHolds(), 0);
  assert.deepEqual(await query('SELECT * FROM holdfast.check_invariants()'), []);
});

test('who must wait for a lock keeps nobody else waiting', async () => {
  const [stuck, ...others] = await organizations(30);
  await world.database.query(`SELECT holdfast.set_budget(p_organization_id => $1, p_scope => 'api_key', p_subject => $2, p_limit_usd => 1)`,
    [stuck.id, stuck.keyId]);
  assert.equal((await ask(stuck)).status, 200);
  const keeper = new pg.Client({ database: world.database.name });
  await keeper.connect();
  try {
    await keeper.query('BEGIN');
    const { rowCount } = await keeper.query('SELECT FROM holdfast.budget_counters WHERE organization_id = $1 FOR UPDATE', [stuck.id]);
    assert.ok(rowCount > 0);
    let waits = true;
    const waiting = [1, 2, 3].map(() => ask(stuck).finally(() => (waits = false)));
    for (let round = 0; round < 5; round++) {
      for (const answer of await Promise.all(others.map((other) => ask(other)))) assert.equal(answer.status, 200, answer.text);
    }
    assert.ok(waits, 'the lock kept nobody waiting');
    await keeper.query('COMMIT');
    for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 200, answer.text);
  } finally {
    await keeper.end();
  }
  for (const organization of [stuck, ...others]) assert.equal(await entriesOf(organization), organization === stuck ? 4 : 5);
  await world.takeEntries();
  assert.deepEqual(await world.database.query('SELECT * FROM holdfast.check_invariants()'), []);
});

test('many users and workflows of one organization go through two gateways at once', async () => {
  const value = (sql, ...values) => world.database.value(sql, values);
  const other = await world.startGateway({ env: { OPENAI_BASE_URL: upstream.baseUrl } });
  const [organization] = await organizations(1);
  const workflows = [];
  for (let i = 0; i < 4; i++) {
    workflows.push(await world.database.workflow(organization.id, 1000));
  }
  const answers = async (count) => {
    const each = Array.from({ length: count }, (_, i) =>
      ask(organization, kModel, i % 2 ? other : gateway, { 'x-holdfast-user': `u${i % 7}`, 'x-holdfast-workflow': workflows[i % 4] }));
    return Promise.all(each);
  };
  for (const answer of await answers(240)) assert.equal(answer.status, 200, answer.text);
  for (const workflow of workflows) {
    assert.equal(await value('SELECT count(*)::int FROM holdfast.ai_usage_ledger WHERE workflow_id = $1', workflow), 60);
  }

  // A budget that a user gets meanwhile holds for the next call.
  await value(`SELECT holdfast.set_budget(p_organization_id => $1, p_scope => 'user', p_subject => 'u3', p_limit_usd => 0)`, organization.id);
  const after = await answers(70);
  assert.deepEqual(after.map(({ status }) => status), after.map((_, i) => (i % 7 === 3 ? 402 : 200)));
  await world.takeEntries();
  assert.deepEqual(await world.database.query('SELECT * FROM holdfast.check_invariants()'), []);
});
