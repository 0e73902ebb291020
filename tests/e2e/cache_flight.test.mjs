// Of those who ask the same at once one makes the call, through whichever gateway; the others get its answer.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Asker, cacheOf, kModel, kOn, question } from './support/asker.mjs';
import { World } from './support/world.mjs';

let world;
let asker;
before(async () => {
  world = await World.create();
  asker = new Asker(world);
});
afterEach(() => world.verify());
after(() => world.close());

const ask = (...request) => asker.ask(...request);
const awaited = () => asker.awaited();
const expectCall = (more) => asker.expectCall(more);
const expectHit = (more) => asker.expectHit(more);

test('of many who ask the same through two gateways at once, one makes the call', async () => {
  const second = await world.startGateway();
  const body = question();
  const planned = world.replay.next('chat_basic', { waits: true });
  const first = ask(body);
  await planned.arrived;
  const others = Array.from({ length: 12 }, (_, i) => ask(body, kOn, { gateway: i % 2 ? second : world.gateway }));
  await awaited();
  planned.release();
  const answers = await Promise.all([first, ...others]);
  assert.deepEqual(answers.map(cacheOf).sort(), ['miss', ...others.map(() => 'hit')].sort());
  for (const { text } of answers) assert.equal(text, answers[0].text);
  expectCall();
  others.forEach(() => expectHit());
});

test('a flight that fails frees those who wait for it', async () => {
  const body = question();
  const failing = world.replay.next('error_400_context_length', { waits: true });
  const first = ask(body);
  await failing.arrived;
  const second = ask(body);
  await awaited();
  world.replay.next('chat_basic');
  failing.release();
  assert.equal((await first).status, 400);
  assert.equal((await second).status, 200);
  expectCall();
});

test('a gateway is killed that makes the answer: of those who wait through others one makes it, and the ledger is right', async () => {
  const doomed = await world.startGateway();
  const others = [world.gateway, await world.startGateway()];
  const body = question();
  const lost = world.replay.next('chat_basic', { waits: true });
  const first = ask(body, kOn, { gateway: doomed }).catch((error) => error);
  await lost.arrived;
  const waiting = Array.from({ length: 6 }, (_, i) => ask(body, kOn, { gateway: others[i % 2] }));
  await awaited();
  doomed.signal('SIGKILL');
  await first;
  world.replay.next('chat_basic'); // one more call: verify() finds any other
  const answers = await Promise.all(waiting); // as soon as the lease has run out
  assert.deepEqual(answers.map(({ status }) => status), waiting.map(() => 200));
  assert.deepEqual(answers.map(cacheOf).sort(), ['hit', 'hit', 'hit', 'hit', 'hit', 'miss']);
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
  expectCall();
  for (let hits = 0; hits < 5; hits++) expectHit();
  lost.release();
  // What the killed gateway's call may have cost is held, until an operator says what became of it.
  assert.equal(await world.openHolds(), 1);
  await world.database.query(`UPDATE holdfast.holds SET expires_at = now() - interval '1 second' WHERE status = 'open'`);
  const unresolved = await world.database.query('SELECT * FROM holdfast.unresolved_calls WHERE organization_id = $1', [world.organization.id]);
  assert.deepEqual(unresolved.map(({ provider, model }) => [provider, model]), [['openai', kModel]]);
  await world.database.query(`SELECT holdfast.write_off_call($1, $2, 'its gateway was killed')`, [unresolved[0].hold_id, world.organization.id]);
});

test('who goes away while another makes the answer makes no call', async () => {
  const body = question();
  const failing = world.replay.next('error_400_context_length', { waits: true });
  const first = ask(body);
  await failing.arrived;
  const offset = world.gateway.log.length;
  const leaver = new AbortController();
  const left = fetch(`${world.gateway.baseUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${world.organization.key}`, 'content-type': 'application/json', ...kOn },
    body: JSON.stringify(body),
    signal: leaver.signal,
  }).catch((error) => error.name);
  await awaited();
  leaver.abort();
  assert.equal(await left, 'AbortError');
  const line = await world.gateway.logged('request', offset);
  assert.equal(line.error, 'client_gone');
  failing.release();
  assert.equal((await first).status, 400);
});

test('when the one who makes the answer leaves its stream, another makes it', async () => {
  const body = question();
  const planned = world.replay.next('stream_basic', { waitsAfterEvents: 3 });
  const stream = await world.client.chat.completions.create({ ...body, stream: true }, { headers: kOn });
  await planned.arrived;
  const second = ask(body);
  await awaited();
  world.replay.next('chat_basic');
  stream.controller.abort();
  assert.equal(cacheOf(await second), 'miss');
  await world.settled();
  const entries = await world.takeEntries();
  assert.deepEqual(entries.map(({ estimated }) => estimated).sort(), [false, true]);
});

for (const [what, flags, status, code, signal] of [
  ['whose gateway has waited as long as it may', ['--total-timeout-ms', '700'], 504, 'cache_wait_timeout', null],
  ['whose gateway is stopped meanwhile', ['--drain-timeout-ms', '300'], 503, 'gateway_stopping', 'SIGTERM'],
]) {
  test(`one who waits, and ${what}, is told so and makes no call`, async () => {
    const gateway = await world.startGateway({ flags });
    const body = question();
    const planned = world.replay.next('chat_basic', { waits: true });
    const first = ask(body);
    await planned.arrived;
    const second = ask(body, kOn, { gateway });
    await awaited();
    if (signal) gateway.signal(signal);
    const told = await second;
    assert.equal(told.status, status, told.text);
    assert.equal(told.json.error.code, code);
    assert.ok(Number(told.headers.get('retry-after')) > 0);
    if (signal) assert.deepEqual(await gateway.ended, { code: 0, signal: null });
    planned.release();
    assert.equal(cacheOf(await first), 'miss');
    expectCall();
  });
}

test('nobody waits for another organization', async () => {
  const other = await world.newOrganization();
  const body = question();
  const planned = world.replay.next('chat_basic', { waits: true });
  const first = ask(body);
  await planned.arrived;
  world.replay.next('chat_basic');
  assert.equal(cacheOf(await ask(body, kOn, { key: other.key })), 'miss');
  expectCall({ organization: other });
  planned.release();
  assert.equal(cacheOf(await first), 'miss');
  expectCall();
});
