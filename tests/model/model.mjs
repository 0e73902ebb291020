#!/usr/bin/env node
// Random operations against the extension and against a model of its rules.
// Usage: node model.mjs [--operations N] [--sessions N] [--seed N]

import { parseArgs } from 'node:util';
import { runConcurrent } from './concurrent.mjs';
import { createDatabase } from './database.mjs';
import { runSequential } from './sequential.mjs';

const { values } = parseArgs({ options: {
  operations: { type: 'string', default: '5000' },
  sessions: { type: 'string', default: '8' },
  seed: { type: 'string' },
  quiet: { type: 'boolean', default: false },
} });
const seed = Number(values.seed ?? (Date.now() ^ process.pid) >>> 0);
const operations = Number(values.operations);
const sessions = Number(values.sessions);
const started = Date.now();
console.log(`seed ${seed} (replay: node tests/model/model.mjs --operations ${operations} --sessions ${sessions} --seed ${seed})`);

const name = `holdfast_model_${process.pid}`;
const database = await createDatabase(name);
try {
  const show = (part, figures) => console.log(`${part}: ${Object.entries(figures).map(([k, v]) => `${v} ${k}`).join(', ')}`);
  const progress = (done) => values.quiet || done % 10_000 || console.log(`  ${done} operations`);
  const half = sessions > 0 ? Math.ceil(operations / 2) : operations;
  show('one session', await runSequential(name, seed, half, progress));
  if (sessions > 0) show(`${sessions} sessions`, await runConcurrent(name, seed, operations - half, sessions));
  console.log(`no difference, ${((Date.now() - started) / 1000).toFixed(1)} s`);
} catch (error) {
  console.error(error.message);
  if (!error.message.startsWith('operation ')) console.error(error.stack);
  console.error(`seed ${seed}`);
  process.exitCode = 1;
} finally {
  await database.drop();
}
