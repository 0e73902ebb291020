// Gateways that are killed while they work on a run: another carries on, no finished step is done again, and what a
// provider is known to have charged is in the ledger once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fixture, usageOf } from './support/fixtures.mjs';
import { Gateway } from './support/gateway.mjs';
import { World } from './support/world.mjs';

const kSteps = ['one', 'two', 'three'];
const kRounds = Number(process.env.RUN_DEATH_ROUNDS ?? 1); // scripts/soak asks for more
const kDefinition = {
  name: 'chain',
  steps: kSteps.map((id, index) => ({
    id,
    provider: 'openai',
    model: 'gpt-5-nano',
    input: { prompt: index === 0 ? 'Begin' : `Go on with {{${kSteps[index - 1]}.output}}`, maxTokens: 100 },
  })),
  settings: { maxTotalCost: 0.05, timeout: 60000 },
};

let world;
let gateways; // by the provider's key that they send, so that a request tells whose it is
const counts = { runs: 0, kills: 0, lost: 0 };
before(async () => {
  world = await World.create();
  gateways = new Map();
  await start('first');
  await start('second');
});
after(async () => {
  const [{ doubled }] = await world.database.query(
    `SELECT count(*)::int AS doubled FROM (SELECT FROM holdfast.workflow_run_attempts WHERE outcome = 'completed'
     GROUP BY organization_id, run_id, step_no HAVING count(*) > 1) d`);
  console.log(`${counts.runs} runs, ${counts.kills} gateways killed, ${counts.lost} calls cut and unresolved, doubled ${doubled}`);
  await Promise.all([...gateways.values()].map((gateway) => gateway.stop()));
  await world.close();
});

async function start(name) {
  const key = `provider-key-of-the-${name}-gateway`;
  const gateway = await Gateway.start({
    database: world.database.conninfo,
    flags: ['--run-steps', '2', '--run-lease-ms', '1000'],
    env: { OPENAI_BASE_URL: world.replay.baseUrl, OPENAI_API_KEY: key, PGAPPNAME: key },
  });
  gateways.set(key, gateway);
}

const keyOf = (request) => request.headers.authorization.replace('Bearer ', '');
const otherThan = (key) => [...gateways.keys()].find((other) => other !== key);

// Kills a gateway at once, and puts a new one in its place.
async function kill(key) {
  const gateway = gateways.get(key);
  gateways.delete(key);
  gateway.signal('SIGKILL');
  counts.kills++;
  assert.equal((await gateway.ended).signal, 'SIGKILL');
  // What it asked the database last may be under way still, and take a step that becomes ready meanwhile.
  for (let left = 1; left > 0; )
    left = await world.database.value('SELECT count(*)::int FROM pg_stat_activity WHERE application_name = $1', [key]);
}

async function revive() {
  while (gateways.size < 2) await start(`revived-${gateways.size}-${Date.now()}`);
}

const begin = () =>
  world.database.value('SELECT run_id FROM holdfast.start_run($1, p_definition => $2)', [world.organization.id, kDefinition]);

// Waits until the run has an event of this kind about this step.
async function happened(run, event, step = null) {
  for (let tries = 0; tries < 800; tries++) {
    const found = await world.database.value(
      `SELECT count(*)::int FROM holdfast.get_run_events($1, $2) WHERE event = $3 AND step_id IS NOT DISTINCT FROM $4`,
      [run, world.organization.id, event, step],
    );
    if (found > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail(`${event} ${step ?? ''} did not happen`);
}

// The run has ended well, each step was completed once, and each attempt that was cut is unresolved. Returns how many.
async function verify(run) {
  await happened(run, 'run.completed');
  const [row] = await world.database.query('SELECT status, total_cost_usd FROM holdfast.get_run($1, $2)', [
    run,
    world.organization.id,
  ]);
  assert.equal(row.status, 'completed');
  const attempts = await world.database.query(
    `SELECT s.step_id, a.outcome, count(*)::int AS count,
            count(*) FILTER (WHERE u.most_usd = trim_scale(a.amount))::int AS unresolved,
            count(l.id)::int AS charged
       FROM holdfast.workflow_run_attempts a JOIN holdfast.workflow_run_steps s USING (organization_id, run_id, step_no)
       LEFT JOIN holdfast.unresolved_calls u USING (organization_id, hold_id)
       LEFT JOIN holdfast.ai_usage_ledger l ON l.organization_id = a.organization_id AND l.id = a.hold_id
      WHERE a.run_id = $1 GROUP BY 1, 2 ORDER BY 1, 2`,
    [run],
  );
  const completed = attempts.filter(({ outcome }) => outcome === 'completed');
  assert.deepEqual(
    completed.map(({ step_id, count, charged }) => [step_id, count, charged]),
    [...kSteps].sort().map((step) => [step, 1, 1]),
  );
  const lost = attempts.filter(({ outcome }) => outcome !== 'completed');
  for (const { outcome, count, unresolved, charged } of lost)
    assert.deepEqual([outcome, unresolved, charged], ['lost', count, 0]);
  for (let i = 0; i < kSteps.length; i++)
    world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
  await world.settled();
  await world.verify();
  await revive();
  const cut = lost.reduce((sum, { count }) => sum + count, 0);
  counts.runs++;
  counts.lost += cut;
  return cut;
}

const kCases = Array.from({ length: kRounds }, (_, round) => [...kSteps.entries()].map(([index, step]) => [round, index, step])).flat();
for (const [round, index, step] of kCases) {
  const nth = kRounds > 1 ? `, round ${round + 1}` : '';
  test(`killed in the middle of the call of step ${step}: the other does it again${nth}`, async () => {
    const planned = kSteps.slice(0, index + 1).map((_, at) => world.replay.next('chat_basic', { waits: at === index }));
    world.replay.always('chat_basic');
    const run = await begin();
    await kill(keyOf(await planned[index].arrived));
    await planned[index].closed;
    assert.equal(await verify(run), 1);
  });

  test(`killed while the other has the call of step ${step}: nobody notices${nth}`, async () => {
    const planned = kSteps.slice(0, index + 1).map((_, at) => world.replay.next('chat_basic', { waits: at === index }));
    world.replay.always('chat_basic');
    const run = await begin();
    await kill(otherThan(keyOf(await planned[index].arrived)));
    planned[index].release();
    assert.equal(await verify(run), 0);
  });

  // No gateway takes the next step before the kill, since its provider is to be left alone until then: the one that is
  // killed has nothing in flight.
  test(`killed right after step ${step} was completed: nothing is cut, no finished step is done again${nth}`, async () => {
    const planned = kSteps.slice(0, index + 1).map((_, at) => world.replay.next('chat_basic', { waits: at === index }));
    world.replay.always('chat_basic');
    const run = await begin();
    const owner = keyOf(await planned[index].arrived);
    await world.database.query(`SELECT holdfast.pause_provider('openai', '1 hour', 'test')`);
    planned[index].release();
    await happened(run, 'step.completed', step);
    if (index + 1 < kSteps.length) await happened(run, 'step.delayed', kSteps[index + 1]);
    await kill(owner);
    await world.database.query('DELETE FROM holdfast.provider_pauses');
    await world.database.query(`UPDATE holdfast.workflow_run_steps SET ready_at = now() WHERE run_id = $1`, [run]);
    assert.equal(await verify(run), 0);
  });
}

test('both are killed in the middle of a call: one that is started later carries on', async () => {
  const planned = world.replay.next('chat_basic', { waits: true });
  world.replay.always('chat_basic');
  const run = await begin();
  await planned.arrived;
  for (const key of [...gateways.keys()]) await kill(key);
  await revive();
  assert.equal(await verify(run), 1);
});

test('a gateway that is stopped while it takes a step does that step', async () => {
  world.replay.always('chat_basic');
  // Whoever takes the step waits for this lock.
  const block = await world.database.pool.connect();
  await block.query('BEGIN; LOCK TABLE holdfast.workflow_run_attempts IN ACCESS EXCLUSIVE MODE');
  const run = await begin();
  let key;
  while (!key)
    key = await world.database.value(`SELECT max(application_name) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'claim_step'`);
  const gateway = gateways.get(key);
  gateways.delete(key);
  gateway.signal('SIGTERM');
  while (!gateway.log.includes('"stopping"')) await new Promise((resolve) => setTimeout(resolve, 5));
  await block.query('COMMIT');
  block.release();
  assert.deepEqual(await gateway.ended, { code: 0, signal: null });
  assert.equal(await verify(run), 0);
});

test('a gateway that is stopped finishes the step it is at and leaves the next to another', async () => {
  const planned = world.replay.next('chat_basic', { waits: true });
  world.replay.always('chat_basic');
  const run = await begin();
  const key = keyOf(await planned.arrived);
  const gateway = gateways.get(key);
  gateways.delete(key);
  gateway.signal('SIGTERM');
  planned.release();
  assert.deepEqual(await gateway.ended, { code: 0, signal: null });
  assert.equal(await verify(run), 0);
});
