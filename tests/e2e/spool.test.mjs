// A gateway that is stopped while the database is away leaves its settlements in a folder; another one brings them in.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Wire } from './support/database.mjs';
import { fixture, usageOf } from './support/fixtures.mjs';
import { Gateway, kProviderKey } from './support/gateway.mjs';
import { World } from './support/world.mjs';

const kModel = 'gpt-5-nano';
const kBody = { model: kModel, messages: [{ role: 'user', content: 'Hello!' }] };
const kUsage = usageOf(fixture('chat_basic'));

let world;
let wire;
let folder;
before(async () => (world = await World.create()));
beforeEach(async () => {
  wire = await Wire.to(world.database);
  folder = mkdtempSync(join(tmpdir(), 'spool-'));
});
afterEach(async () => {
  await wire.close();
  rmSync(folder, { recursive: true });
  await world.verify();
});
after(() => world.close());

const ask = (gateway, key) => world.http('POST', '/v1/chat/completions', { gateway, body: kBody, headers: { 'Idempotency-Key': key } });

// Makes so many calls through a gateway that loses the database before it can settle them, and stops it: {answers, ended, log}.
async function stopWithout(flags, keys) {
  const gateway = await world.startGateway({ database: wire.conninfo, flags: ['--drain-timeout-ms', '1000', ...flags] });
  const planned = keys.map(() => world.replay.next('chat_basic', { waits: true }));
  const calls = keys.map((key) => ask(gateway, key));
  await Promise.all(planned.map(({ arrived }) => arrived));
  wire.cut();
  planned.forEach((answer) => answer.release());
  const answers = await Promise.all(calls);
  for (const { status, text } of answers) assert.equal(status, 200, text);
  gateway.signal('SIGTERM');
  const ended = await gateway.ended;
  wire.mend();
  assert.equal(await world.openHolds(), keys.length);
  return { answers, ended, log: gateway.log };
}

async function emptied() {
  for (let tries = 0; tries < 400; tries++) {
    if (readdirSync(folder).length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.fail(`there is still ${readdirSync(folder)}`);
}

test('what is left is on disk and the status is 0; the next gateway settles it, and repeats get the answer', async () => {
  const keys = ['spooled-1', 'spooled-2', 'spooled-3'];
  const { answers, ended, log } = await stopWithout(['--spool', folder], keys);
  assert.deepEqual(ended, { code: 0, signal: null }, log);
  const [file, ...more] = readdirSync(folder);
  assert.match(file, /^settlements-[0-9a-f-]+\.jsonl$/);
  assert.equal(more.length, 0);
  assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600);
  const text = readFileSync(join(folder, file), 'utf8');
  assert.equal(text.split('\n').length, keys.length + 1);
  for (const secret of [kProviderKey, world.organization.key]) assert.ok(!text.includes(secret));

  const next = await world.startGateway({ flags: ['--spool', folder] });
  await world.settled();
  await emptied();
  keys.forEach(() => world.expectEntry({ model: kModel, usage: kUsage }));
  for (const [at, key] of keys.entries()) {
    const repeat = await ask(next, key);
    assert.equal(repeat.headers.get('idempotent-replay'), 'true', repeat.text);
    assert.deepEqual(repeat.json, answers[at].json);
  }
});

test('a gateway that runs takes over what another left, two of them once', async () => {
  const others = [await world.startGateway({ flags: ['--spool', folder] }), await world.startGateway({ flags: ['--spool', folder] })];
  const { ended } = await stopWithout(['--spool', folder], ['taken-over']);
  assert.equal(ended.code, 0);
  await world.settled();
  await emptied();
  world.expectEntry({ model: kModel, usage: kUsage });
  for (const gateway of others) assert.deepEqual(await gateway.stop(), { code: 0, signal: null });
});

test('a gateway killed while it brings a file in: another does it again, and the ledger has it once', async () => {
  await stopWithout(['--spool', folder], ['twice']);
  const [file] = readdirSync(folder);
  const text = readFileSync(join(folder, file));
  const first = await world.startGateway({ flags: ['--spool', folder] });
  await world.settled();
  first.signal('SIGKILL');
  await first.ended;
  writeFileSync(join(folder, file), text); // as if it had been killed before it could delete it
  const second = await world.startGateway({ flags: ['--spool', folder] });
  await emptied();
  assert.ok(!second.log.includes('settlement_refused'), second.log);
  world.expectEntry({ model: kModel, usage: kUsage });
});

test('without a folder the status is 1, and the log has the figures', async () => {
  const { ended, log } = await stopWithout([], ['unspooled']);
  assert.equal(ended.code, 1);
  const line = log.split('\n').find((text) => text.includes('"event":"settlement_unsettled"'));
  const figures = JSON.parse(line);
  assert.deepEqual([figures.promptTokens, figures.completionTokens], [kUsage.prompt, kUsage.completion]);
  await world.database.query(
    `SELECT holdfast.release_call(organization_id, hold_id) FROM holdfast.holds WHERE status = 'open'`);
});

test('a folder that is not there is refused at the start', async () => {
  const flags = ['--listen', '127.0.0.1:0', '--database', world.database.conninfo, '--spool', join(folder, 'none')];
  const { code, stderr } = await Gateway.run(flags);
  assert.equal(code, 1);
  assert.match(stderr, /the folder of --spool cannot be written to: No such file or directory/);
});
