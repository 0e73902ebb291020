// SIGHUP: the file of settings is read again, and taken as a whole or not at all.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { fixture, usageOf } from './support/fixtures.mjs';
import { Gateway } from './support/gateway.mjs';
import { World } from './support/world.mjs';

const kModel = 'gpt-5-nano';
const kUsage = usageOf(fixture('chat_basic'));

let world;
let gateway;
let folder;
let file;

before(async () => {
  world = await World.create();
  folder = mkdtempSync(join(tmpdir(), 'holdfast-reload-'));
  file = join(folder, 'holdfast.conf');
});
afterEach(async () => {
  await gateway.stop();
  await world.verify();
});
after(async () => {
  await world.close();
  rmSync(folder, { recursive: true });
});

const write = (...lines) => writeFileSync(file, `${lines.join('\n')}\n`);
const base = () => [`OPENAI_BASE_URL=${world.replay.baseUrl}`, 'HOLDFAST_RUN_STEPS=0', 'HOLDFAST_MAX_RETRIES=0'];

async function start() {
  gateway = await Gateway.start({ database: world.database.conninfo, flags: ['--config', file] });
}

// Sends SIGHUP and waits for what the gateway says of it.
async function reload(event) {
  const offset = gateway.log.length;
  gateway.signal('SIGHUP');
  return gateway.logged(event, offset);
}

async function call(options = {}) {
  world.replay.next('chat_basic');
  const answer = await world.http('POST', '/v1/chat/completions', {
    gateway,
    body: { model: kModel, max_tokens: 400, messages: [{ role: 'user', content: 'Hello!' }] },
    ...options,
  });
  assert.equal(answer.status, 200, answer.text);
  world.expectEntry({ model: kModel, usage: kUsage });
  return world.replay.requests.at(-1).headers.authorization;
}

test('a new key of a provider is used from the next call on', async () => {
  write(...base(), 'OPENAI_API_KEY=first-key');
  await start();
  assert.equal(await call(), 'Bearer first-key');
  write(...base(), 'OPENAI_API_KEY=second-key');
  await reload('reloaded');
  assert.equal(await call(), 'Bearer second-key');
  assert.ok(!gateway.log.includes('first-key') && !gateway.log.includes('second-key'), gateway.log);
});

test('what only a restart changes is named, and stays', async () => {
  write(...base(), 'OPENAI_API_KEY=first-key', 'HOLDFAST_THREADS=8');
  await start();
  write(...base(), 'OPENAI_API_KEY=first-key', 'HOLDFAST_THREADS=9');
  const { message } = await reload('reloaded');
  assert.match(message, /--threads/);
  await call();
});

test('a file with one bad line changes nothing', async () => {
  write(...base(), 'OPENAI_API_KEY=first-key');
  await start();
  write(...base(), 'OPENAI_API_KEY=second-key', 'HOLDFAST_MAX_FALLBACKS=many');
  const { message } = await reload('reload_refused');
  assert.match(message, /HOLDFAST_MAX_FALLBACKS must be a whole number/);
  assert.equal(await call(), 'Bearer first-key');
});

test('a call that runs ends with the settings that it began with', async () => {
  write(...base(), 'OPENAI_API_KEY=first-key');
  await start();
  const slow = world.replay.next('chat_basic', { waits: true });
  const answer = world.http('POST', '/v1/chat/completions', {
    gateway,
    body: { model: kModel, max_tokens: 400, messages: [{ role: 'user', content: 'Hello!' }] },
  });
  await slow.arrived;
  write(...base(), 'OPENAI_API_KEY=second-key');
  await reload('reloaded');
  slow.release();
  assert.equal((await answer).status, 200);
  world.expectEntry({ model: kModel, usage: kUsage });
  assert.equal(world.replay.requests.at(-1).headers.authorization, 'Bearer first-key');
});
