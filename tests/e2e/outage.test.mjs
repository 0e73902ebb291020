// Databases, gateways and providers that go away under load: every answered call is in the ledger once, no call is admitted
// without the database, and all goes on when they are back, without a hand.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Storm } from './support/storm.mjs';

const kClients = 16;
const kCalls = 60;

let storm;
before(async () => (storm = await Storm.start()));
afterEach(async () => {
  const figures = await storm.verify();
  assert.ok(figures.answered >= kCalls, JSON.stringify(figures));
});
after(() => storm.stop());

for (const mode of ['fast', 'immediate']) {
  test(`PostgreSQL is stopped (${mode}) under load, and comes back`, async () => {
    storm.load(kClients);
    await storm.progress(kCalls);
    await storm.databaseAway(mode, kCalls);
    await storm.progress(kCalls);
  });
}

test('a gateway is killed under load', async () => {
  storm.load(kClients);
  await storm.progress(kCalls);
  await storm.killGateway(0);
  await storm.progress(kCalls);
});

test('a gateway is stopped under load: it finishes and settles what it has begun', async () => {
  storm.load(kClients);
  await storm.progress(kCalls);
  await storm.stopGateway(1);
  await storm.progress(kCalls);
});

test('a gateway is stopped while the database is away: it settles when that is back in time', async () => {
  storm.load(kClients);
  await storm.progress(kCalls);
  let stopped;
  await storm.databaseAway('immediate', kCalls, async () => {
    stopped = storm.stopGateway(0);
  });
  await stopped;
  await storm.progress(kCalls);
});

test('the provider is lost under load, and comes back', async () => {
  storm.load(kClients);
  await storm.progress(kCalls);
  const faults = ['reset', 'cut', 'error'];
  let count = 0;
  storm.upstream.failBy(() => faults[count++ % faults.length]);
  storm.upstream.breakAll();
  const failed = storm.upstream.failed.size;
  while (storm.upstream.failed.size < failed + kCalls / 6) await new Promise((resolve) => setTimeout(resolve, 10));
  storm.upstream.failBy(() => null);
  await storm.progress(kCalls);
});
