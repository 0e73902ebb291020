// A workflow goes through its seven steps while the gateway that works on each is killed in the middle of it: the other
// finishes it, no finished step is done again, and each answer that came is charged once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Provider, WebhookServer } from './support/answering.mjs';
import { Gateway } from './support/gateway.mjs';
import { IntentClient, kSteps } from './support/intent.mjs';
import { World } from './support/world.mjs';

let world; // its own gateway takes requests and does no steps
let provider;
let webhook;
let client;
const gateways = new Map(); // by the name that each sends with what it asks
let started = 0;
before(async () => {
  provider = await Provider.start();
  webhook = await WebhookServer.start();
  world = await World.create();
  await start();
  await start();
  client = new IntentClient(world);
  await client.create();
});
after(async () => {
  await Promise.all([...gateways.values()].map((gateway) => gateway.stop()));
  await world.close();
  await provider.stop();
  await webhook.stop();
});

async function start() {
  const name = `gateway-${++started}`;
  const gateway = await Gateway.start({
    database: world.database.conninfo,
    flags: ['--run-steps', '2', '--run-lease-ms', '1000'],
    env: {
      OPENAI_BASE_URL: provider.baseUrl,
      OPENAI_API_KEY: name,
      PERPLEXITY_BASE_URL: provider.baseUrl,
      PERPLEXITY_API_KEY: name,
      HOLDFAST_PUBLISH_WEBHOOK_URL: `${webhook.origin}/${name}`,
      HOLDFAST_PUBLISH_WEBHOOK_SECRET: 'secret',
    },
  });
  gateways.set(name, gateway);
}

const nameOf = ({ path, headers }) => headers.authorization?.replace('Bearer ', '') ?? path.slice(1);

async function kill(name) {
  const gateway = gateways.get(name);
  gateways.delete(name);
  gateway.signal('SIGKILL');
  assert.equal((await gateway.ended).signal, 'SIGKILL');
}

for (const { step, to, calls } of kSteps) {
  test(`killed in the middle of ${step}: the other finishes it`, async () => {
    const server = calls > 0 ? provider : webhook;
    const before = server.requests.length;
    const cut = server.next({ waits: true });
    const begun = await client.step(step, { wait: false });
    assert.equal(begun.status, 202, begun.text);
    await kill(nameOf(await cut.arrived));
    await cut.closed;
    await client.reaches(to);
    const attempts = await world.database.query(
      `SELECT s.step_id, a.outcome, u.most_usd IS NOT NULL AS unresolved, l.id IS NOT NULL AS charged
         FROM holdfast.workflow_run_attempts a JOIN holdfast.workflow_run_steps s USING (organization_id, run_id, step_no)
         LEFT JOIN holdfast.unresolved_calls u USING (organization_id, hold_id)
         LEFT JOIN holdfast.ai_usage_ledger l ON l.organization_id = a.organization_id AND l.id = a.hold_id
        WHERE a.run_id = $1 ORDER BY a.started_at`,
      [begun.json.runId],
    );
    assert.deepEqual(attempts[0], { step_id: attempts[0].step_id, outcome: 'lost', unresolved: calls > 0, charged: false });
    const rest = attempts.slice(1);
    assert.deepEqual(rest.map(({ outcome, unresolved, charged }) => [outcome, unresolved, charged]),
      Array(Math.max(calls, 1)).fill(['completed', false, calls > 0]));
    assert.equal(new Set(rest.map(({ step_id }) => step_id)).size, rest.length);
    assert.equal(server.requests.length - before, attempts.length);
    if (calls === 0) {
      const [first, second] = server.requests.slice(before);
      assert.equal(first.headers['x-holdfast-delivery'], second.headers['x-holdfast-delivery']);
    }
    assert.equal((await world.takeEntries()).length, calls);
    await world.settled();
    await world.verify();
    if (step === 'seed-extract') await client.review();
    await start();
  });
}

test('the whole went through each state once, and its total is the sum of its entries', async () => {
  const shown = await client.get();
  assert.equal(shown.state, 'COMPLETED');
  const states = shown.history.map(({ to }) => to);
  assert.equal(new Set(states).size, states.length);
  const sum = await world.database.value(
    'SELECT sum(cost) = (SELECT total_ai_cost FROM holdfast.intent_workflows WHERE id = $1) FROM holdfast.ai_usage_ledger WHERE workflow_id = $1',
    [client.id],
  );
  assert.equal(sum, true);
});
