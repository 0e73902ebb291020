// What happens when a client, a gateway or the database goes away in the middle of a call: nothing is lost.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Wire } from './support/database.mjs';
import { chunksOf, fixture, usageOf } from './support/fixtures.mjs';
import { World, readStream } from './support/world.mjs';

let world;
let wire;
before(async () => (world = await World.create()));
beforeEach(async () => (wire = await Wire.to(world.database)));
afterEach(async () => {
  await wire.close();
  await world.verify();
});
after(() => world.close());

const kCall = { model: 'gpt-4', messages: [{ role: 'user', content: 'Say this is a test' }] };
const kPromptTokens = Math.ceil(('user' + kCall.messages[0].content).length / 4);

// The text of the first events of the recorded stream, and the estimate of its tokens.
function estimateOf(events) {
  const text = chunksOf(fixture('stream_basic'))
    .slice(0, events)
    .map((chunk) => chunk.choices[0]?.delta.content ?? '')
    .join('');
  return { prompt: kPromptTokens, completion: Math.ceil(Buffer.byteLength(text) / 4) };
}

// Reads the stream until so many chunks have come.
async function readChunks(stream, count) {
  const iterator = stream[Symbol.asyncIterator]();
  for (let seen = 0; seen < count; seen++) await iterator.next();
  return iterator;
}

test('a client that leaves its stream: the provider’s stream is closed, what came is settled', async () => {
  const events = 4;
  const planned = world.replay.next('stream_basic', { waitsAfterEvents: events });
  const stream = await world.client.chat.completions.create({ ...kCall, stream: true });
  await planned.arrived;
  await readChunks(stream, events);
  stream.controller.abort();
  await planned.closed;
  await world.settled();
  world.expectEntry({ model: 'gpt-4', usage: estimateOf(events), estimated: true });
});

test('a client that leaves a call that is not streamed: the whole answer is settled', async () => {
  const planned = world.replay.next('chat_basic', { waits: true });
  const controller = new AbortController();
  const call = world.client.chat.completions.create(
    { model: 'gpt-5-nano', messages: [{ role: 'user', content: 'Hello!' }] },
    { signal: controller.signal },
  );
  await planned.arrived;
  controller.abort();
  await assert.rejects(call);
  planned.release();
  await world.settled();
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
});

test('SIGTERM in the middle of a stream: it is finished and settled, then the gateway ends with 0', async () => {
  const gateway = await world.startGateway();
  const planned = world.replay.next('stream_basic', { waitsAfterEvents: 3 });
  const stream = await world.clientOf(world.organization.key, gateway).chat.completions.create({ ...kCall, stream: true });
  const rest = await readChunks(stream, 3);
  gateway.signal('SIGTERM');
  planned.release();
  while (!(await rest.next()).done);
  assert.deepEqual(await gateway.ended, { code: 0, signal: null });
  world.expectEntry({ model: 'gpt-4', usage: usageOf(fixture('stream_basic')) });
});

test('SIGTERM and a stream that does not end in time: what came is settled, and the gateway ends with 0', async () => {
  const gateway = await world.startGateway({ flags: ['--drain-timeout-ms', '1000'] });
  const planned = world.replay.next('stream_basic', { waitsAfterEvents: 3 });
  const stream = await world.clientOf(world.organization.key, gateway).chat.completions.create({ ...kCall, stream: true });
  const rest = await readChunks(stream, 3);
  gateway.signal('SIGTERM');
  const readRest = async () => {
    while (!(await rest.next()).done);
  };
  await assert.rejects(readRest());
  assert.deepEqual(await gateway.ended, { code: 0, signal: null });
  await planned.closed;
  world.expectEntry({ model: 'gpt-4', usage: estimateOf(3), estimated: true });
});

test('the database is away: 503 with Retry-After, and no provider is called', async () => {
  const gateway = await world.startGateway({ database: wire.conninfo });
  const calls = world.replay.requests.length;
  wire.cut();
  const answer = await world.http('POST', '/v1/chat/completions', { gateway, body: kCall });
  assert.equal(answer.status, 503, answer.text);
  assert.equal(answer.json.error.code, 'database_unavailable');
  assert.ok(answer.headers.get('retry-after'));
  assert.equal(world.replay.requests.length, calls);

  wire.mend();
  world.replay.next('stream_basic');
  const { text } = await readStream(
    await world.clientOf(world.organization.key, gateway).chat.completions.create({ ...kCall, stream: true }),
  );
  assert.ok(text.length > 0, 'it serves again when the database is back');
  world.expectEntry({ model: 'gpt-4', usage: usageOf(fixture('stream_basic')) });
  await gateway.stop();
});

test('the database is read-only, as a standby is: 503, and calls are made again once it is not', async () => {
  const gateway = await world.startGateway();
  const ask = () => world.http('POST', '/v1/chat/completions', { gateway, body: { model: 'gpt-5-nano', messages: kCall.messages } });
  const health = () => world.http('GET', '/api/ai/health', { gateway, key: null });
  const setReadOnly = async (value) => {
    await world.database.admin.query(`ALTER DATABASE ${world.database.name} SET default_transaction_read_only = ${value}`);
    await world.database.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                                WHERE datname = current_database() AND usename = 'holdfast_gateway'`);
  };
  try {
    await setReadOnly('on');
    const refused = await ask();
    assert.equal(refused.status, 503, refused.text);
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    assert.equal((await health()).status, 503);
  } finally {
    await world.database.admin.query(`ALTER DATABASE ${world.database.name} RESET default_transaction_read_only`);
  }
  world.replay.next('chat_basic');
  const answer = await ask(); // on a new connection, without having been told
  assert.equal(answer.status, 200, answer.text);
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
  assert.equal((await health()).status, 200);
  await gateway.stop();
});

test('the database goes away in the middle of a call: its settlement is kept until it is back', async () => {
  const gateway = await world.startGateway({ database: wire.conninfo });
  const planned = world.replay.next('chat_basic', { waits: true });
  const call = world.http('POST', '/v1/chat/completions', {
    gateway,
    body: { model: 'gpt-5-nano', messages: [{ role: 'user', content: 'Hello!' }] },
  });
  await planned.arrived;
  wire.cut();
  planned.release();
  const answer = await call;
  assert.equal(answer.status, 200, answer.text);
  assert.equal(await world.openHolds(), 1);
  wire.mend();
  await world.settled();
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
  await gateway.stop();
});

test('the database’s answer to a settlement is lost: it is asked again, and charges once', async () => {
  const gateway = await world.startGateway({ database: wire.conninfo });
  const planned = world.replay.next('chat_basic', { waits: true });
  const call = world.http('POST', '/v1/chat/completions', {
    gateway,
    body: { model: 'gpt-5-nano', messages: [{ role: 'user', content: 'Hello!' }] },
  });
  await planned.arrived;
  wire.loseNextAnswer();
  planned.release();
  assert.equal((await call).status, 200);
  await gateway.stop();
  world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
});

test('the database’s answer to an opening is lost, and it cannot be asked again: 503, and the hold is given back', async () => {
  const gateway = await world.startGateway({ database: wire.conninfo });
  const ask = () => world.http('POST', '/v1/chat/completions', { gateway, body: kCall });
  world.replay.next('chat_basic');
  assert.equal((await ask()).status, 200);
  world.expectEntry({ model: kCall.model, usage: usageOf(fixture('chat_basic')) });
  wire.loseNextAnswer({ staysCut: true });
  const refused = await ask();
  assert.equal(refused.status, 503, refused.text);
  assert.equal(await world.openHolds(), 1, 'it had been opened');
  wire.mend();
  await world.settled();
  await gateway.stop();
});

test('a gateway killed in the middle of a call: its hold stays until it expires, then the money is free', async () => {
  const gateway = await world.startGateway();
  const workflow = await world.database.workflow(world.organization.id, '0.07');
  const headers = { 'X-Holdfast-Workflow': workflow, 'Idempotency-Key': 'killed' };
  const ask = (by) => world.http('POST', '/v1/chat/completions', { gateway: by, headers, body: kCall });
  const planned = world.replay.next('chat_basic', { waits: true });
  const call = assert.rejects(ask(gateway));
  await planned.arrived;
  gateway.signal('SIGKILL');
  await call;
  await planned.closed;
  assert.equal((await gateway.ended).signal, 'SIGKILL');

  // The intent and what it may have cost are in the database, and another gateway keeps to them.
  assert.equal(await world.openHolds(), 1);
  assert.equal((await ask(world.gateway)).status, 409);
  const other = await world.http('POST', '/v1/chat/completions', {
    headers: { 'X-Holdfast-Workflow': workflow },
    body: kCall,
  });
  assert.equal(other.status, 402, other.text);

  // The hold's time runs out (here: is moved into the past), and no sweeper is needed.
  await world.database.query(`UPDATE holdfast.holds SET expires_at = now() - interval '1 second' WHERE status = 'open'`);
  world.replay.next('stream_basic');
  const stream = await world.client.chat.completions.create({ ...kCall, stream: true }, { headers: { 'X-Holdfast-Workflow': workflow } });
  await readStream(stream);
  world.expectEntry({ model: 'gpt-4', usage: usageOf(fixture('stream_basic')), workflow });
});
