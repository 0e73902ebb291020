// More than the gateway can take, by callers and by connections that give nothing: what is answered is right, the rest is
// told to come back, memory stays bounded, and afterwards all is as before.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { Storm } from './support/storm.mjs';

// A gateway for 16 calls at once, asked by ten times as many.
const kThreads = 16;
const kClients = 10 * kThreads * 2; // through two gateways
const kAnswered = 60;
const kRefused = 60;
const kMostMemoryKb = 200000;
const kMostGrowthKb = 60000;
// scripts/soak lets it last, and then looks at the time as well.
const kSeconds = Number(process.env.OVERLOAD_SECONDS ?? 0);
const kMostMs = 20000;
const kMostRecoveryMs = 5000;

// Connections that say little or nothing.
const kSlow = 64;
const kIdle = 10000;
const kSpareDescriptors = 500;

let storm;
let slow; // a connection to the second gateway that got a thread, whose head comes by the byte, from the first test to the last
before(async () => {
  storm = await Storm.start({ delayMs: 50, flags: ['--threads', String(kThreads)] });
  slow = await drip(storm.gateways[1], 'POST', kHead(100).repeat(20).slice(4));
});
afterEach(() => storm.verify());
after(() => storm.stop());

// What the process of a gateway takes at most is what it took at the peak.
function peakKb({ pid }) {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

// A call through a gateway; whoever is told to come back comes back, as an SDK does.
async function callUntilAnswered(index = 0) {
  const deadline = Date.now() + 60000;
  for (;;) {
    const outcome = await storm.call(index, { fresh: true });
    if (outcome.whole) return outcome;
    assert.ok(outcome.status === 503 || outcome.status === 0, JSON.stringify(outcome));
    assert.ok(Date.now() < deadline, `no answer: ${JSON.stringify(outcome)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

// How long the answered calls took, and how long until the first one afterwards.
function checkTimes(t, recoveryMs) {
  const times = storm.answered.map(([, { ms }]) => ms).sort((a, b) => a - b);
  const share = (part) => times[Math.floor((times.length - 1) * part)];
  const figures = { seconds: kSeconds, calls: storm.calls.size, answered: times.length, refused: storm.refused.length };
  const memoryKb = Math.max(...storm.gateways.map(peakKb));
  t.diagnostic(JSON.stringify({ ...figures, p50Ms: share(0.5), p99Ms: share(0.99), mostMs: share(1), recoveryMs, memoryKb }));
  if (kSeconds === 0) return;
  assert.ok(share(1) < kMostMs, `an answer took ${share(1)} ms`);
  assert.ok(recoveryMs < kMostRecoveryMs, `after ${recoveryMs} ms it is as before`);
}

test('ten times the callers it has room for', async (t) => {
  await callUntilAnswered();
  const [calm] = storm.usage();
  storm.load(kClients);
  await new Promise((resolve) => setTimeout(resolve, kSeconds * 1000));
  while (storm.refused.length < kRefused) await storm.progress(1);
  await storm.progress(kAnswered);
  await storm.calm();
  const ended = Date.now();
  await callUntilAnswered();
  checkTimes(t, Date.now() - ended);
  await storm.verify();
  const broken = [...storm.calls.values()].filter(({ status }) => status === 0);
  assert.deepEqual(broken, [], 'who is turned away is told so');
  for (const { status, retryAfter, whole, text } of storm.calls.values()) {
    if (status === 503) assert.ok(Number(retryAfter) > 0, text);
    else assert.ok(whole, `${status} ${text}`);
  }
  for (const gateway of storm.gateways) assert.ok(peakKb(gateway) < kMostMemoryKb, `${peakKb(gateway)} kB at the peak`);
  const [after] = storm.usage();
  assert.ok(after.memoryKb - calm.memoryKb < kMostGrowthKb, `from ${calm.memoryKb} to ${after.memoryKb} kB`);
});

// Errors of a socket end in its close as well.
const happens = (socket, event) => new Promise((resolve) => socket.once(event, resolve));

// A connection that sends `begin`, and then the text by the byte for as long as it lives. `closed`: what it was answered.
async function drip(gateway, begin, text) {
  const { port } = new URL(gateway.baseUrl);
  const socket = net.connect(Number(port), '127.0.0.1');
  socket.on('error', () => {});
  let answer = '';
  socket.on('data', (bytes) => (answer += bytes));
  socket.write(begin);
  let at = 0;
  const timer = setInterval(() => at < text.length && socket.write(text[at++]), 100);
  const closed = happens(socket, 'close').then(() => {
    clearInterval(timer);
    return answer;
  });
  await Promise.race([happens(socket, 'connect'), closed]);
  return { socket, closed };
}

const kHead = (length) =>
  `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${storm.organization.key}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

for (const [what, partsOf] of Object.entries({
  'a head that comes by the byte': () => ['', kHead(100).repeat(20)],
  'a body that comes by the byte': () => [kHead(100000), 'x'.repeat(100000)],
})) {
  test(`${kSlow} connections with ${what}: others are served meanwhile`, async () => {
    const [gateway] = storm.gateways;
    const dripping = await Promise.all(Array.from({ length: kSlow }, () => drip(gateway, ...partsOf())));
    const outcome = await callUntilAnswered();
    assert.ok(outcome.whole);
    for (const { socket } of dripping) socket.destroy();
    await Promise.all(dripping.map(({ closed }) => closed));
    await callUntilAnswered();
  });
}

test('sockets that are closed by half: the call is settled, and the connection ends', async () => {
  const { port } = new URL(storm.gateways[0].baseUrl);
  const body = JSON.stringify({ model: 'stormy', max_tokens: 3, messages: [{ role: 'user', content: 'half' }] });
  storm.calls.set('half', { status: 200, whole: false });
  const socket = net.connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
  socket.resume();
  socket.end(kHead(Buffer.byteLength(body)).replace('Host: x', 'Host: x\r\nX-Holdfast-User: half') + body);
  await happens(socket, 'close');
});

test(`idle connections, as many as ${kIdle}: others are served meanwhile`, async () => {
  const [gateway] = storm.gateways;
  const { port } = new URL(gateway.baseUrl);
  const limit = Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))[1]);
  const count = Math.min(kIdle, limit - kSpareDescriptors);
  const before = storm.usage()[0].memoryKb;
  const idle = [];
  for (let opened = 0; opened < count; opened += 100) {
    const sockets = Array.from({ length: 100 }, () => net.connect(Number(port), '127.0.0.1').on('error', () => {}));
    await Promise.all(sockets.map((socket) => Promise.race([happens(socket, 'connect'), happens(socket, 'close')])));
    idle.push(...sockets);
  }
  const outcome = await callUntilAnswered();
  assert.ok(outcome.whole);
  const { memoryKb } = storm.usage()[0];
  assert.ok(memoryKb - before < kMostGrowthKb * 2, `from ${before} to ${memoryKb} kB`);
  for (const socket of idle) socket.destroy();
  await callUntilAnswered();
});

test('a head that comes by the byte is not waited for: 408, or without a whole line nothing', async () => {
  assert.match(await slow.closed, /^(HTTP\/1\.1 408 |$)/);
});
