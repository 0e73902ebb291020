// docs/operating.md tells of every flag of the gateway, every setting of the extension and every metric.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Gateway } from './support/gateway.mjs';
import { readMetrics } from './support/prometheus.mjs';
import { World } from './support/world.mjs';

const kPage = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');

let world;
before(async () => (world = await World.create()));
after(() => world.close());

// Those that stand nowhere as code: `name`, `name VALUE` or `name{labels}`.
const untold = (names) => names.filter((name) => !new RegExp(`\`${name.replaceAll('.', '\\.')}[\` {]`).test(kPage));

test('every flag', async () => {
  const { stdout } = await Gateway.run(['--help']);
  const flags = [...stdout.matchAll(/^ {2}(--[a-z-]+) /gm)].map(([, flag]) => flag);
  assert.ok(flags.length > 30, flags.join(' '));
  assert.deepEqual(untold(flags), []);
});

test('every setting of PostgreSQL', async () => {
  const settings = await world.database.query(`SELECT name FROM pg_settings WHERE name LIKE 'holdfast.%'`);
  assert.ok(settings.length > 15, JSON.stringify(settings));
  assert.deepEqual(untold(settings.map(({ name }) => name)), []);
});

test('every metric', async () => {
  const { text } = await world.http('GET', '/metrics', { key: null });
  const names = Object.keys(readMetrics(text));
  assert.ok(names.length > 25, names.join(' '));
  assert.deepEqual(untold(names), []);
});
