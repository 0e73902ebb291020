// A provider that misbehaves on the wire: each front door says so in bounded time and memory, and the books are right.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { FaultServer, kFaults } from './support/faults.mjs';
import { World } from './support/world.mjs';

const kFlags = ['--first-byte-timeout-ms', '400', '--idle-timeout-ms', '400', '--total-timeout-ms', '1200', '--max-answer-bytes', '8388608'];
const kLongestMs = 6000;
const kMostMemoryKb = 250000;
const kMessages = [{ role: 'user', content: 'Hello!' }];
const kDoors = {
  'chat': ['/v1/chat/completions', { model: 'openai/gpt-5-nano', messages: kMessages }],
  'a chat’s stream': ['/v1/chat/completions', { model: 'openai/gpt-5-nano', messages: kMessages, stream: true }],
  'messages': ['/v1/messages', { model: 'openai/gpt-5-nano', max_tokens: 50, messages: kMessages }],
  'a message’s stream': ['/v1/messages', { model: 'openai/gpt-5-nano', max_tokens: 50, messages: kMessages, stream: true }],
  'generate': ['/api/ai/generate', { prompt: 'Hello!', provider: 'openai', model: 'gpt-5-nano' }],
  'stream': ['/api/ai/stream', { prompt: 'Hello!', provider: 'openai', model: 'gpt-5-nano' }],
  'embeddings': ['/v1/embeddings', { model: 'openai/text-embedding-3-small', input: 'Hello!' }],
};
const kCodes = ['provider_timeout', 'provider_network', 'provider_error'];

let world;
let faults;
let gateway;
before(async () => {
  world = await World.create();
  await world.database.query(
    `INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output, effective_date, capabilities)
     VALUES ('openai', 'text-embedding-3-small', 0.02, 0, current_date - 1, '{embeddings}')`,
  );
  faults = await FaultServer.start();
  gateway = await world.startGateway({ flags: kFlags, env: { OPENAI_BASE_URL: faults.baseUrl } });
});
afterEach(() => world.verify());
after(async () => {
  await faults.stop();
  await world.close();
});

// The code of the error, in whatever shape and place it is told.
function codeIn(answer) {
  if (answer.json) return answer.json.code ?? answer.json.error.code;
  const events = answer.text.split('\n\n').map((event) => /^data: (\{.*)$/m.exec(event)?.[1]).filter(Boolean);
  const told = events.map((text) => JSON.parse(text)).find((event) => event.error);
  assert.ok(told, `no error in ${answer.text.slice(0, 500)}`);
  return told.code ?? told.error.code;
}

function memoryKb() {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))[1]);
}

for (const fault of Object.keys(kFaults)) {
  for (const [door, [path, body]] of Object.entries(kDoors)) {
    test(`a provider that ${fault}: ${door}`, async () => {
      faults.fault = fault;
      const begun = Date.now();
      const answer = await world.http('POST', path, { body, gateway });
      assert.ok(Date.now() - begun < kLongestMs, `it took ${Date.now() - begun} ms`);
      assert.ok(answer.status >= 500 || answer.headers.get('content-type').startsWith('text/event-stream'), answer.text.slice(0, 500));
      assert.ok(kCodes.includes(codeIn(answer)), codeIn(answer));
      assert.ok(memoryKb() < kMostMemoryKb, `${memoryKb()} kB`);
      await world.settled();
      // At most one entry, with what may have been charged: of a provider that gave no count, an estimate.
      const entries = await world.takeEntries();
      assert.ok(entries.length <= 1);
      for (const entry of entries) assert.ok(entry.estimated && entry.prompt > 0, JSON.stringify(entry));
      if (/Hello/.test(answer.text) && answer.status === 200) assert.equal(entries.length, 1, 'what was streamed is charged');
    });
  }
}
