// Load through two gateways with faults drawn by a seed, for as long as wanted: every answered call is in the ledger once,
// the books add up, and the gateway that lives through it all leaks neither memory nor descriptors.
// node soak.mjs --seconds N [--seed N], with the environment that `scripts/soak` gives.

import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { Storm } from './support/storm.mjs';

const kClients = 24;
const kVerifyEveryMs = 60000;
const kMostGrowthKb = 60000;
const kMostMoreDescriptors = 40;
const kFlags = ['--first-byte-timeout-ms', '1500', '--idle-timeout-ms', '1500', '--total-timeout-ms', '4000'];
const kUpstreamFaults = ['reset', 'stall', 'error', 'cut', null, null, null, null];

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '1800' }, seed: { type: 'string' } } });
const seed = Number(values.seed ?? Date.now() % 1000000);

// mulberry32: small, and the same everywhere.
function randomBy(start) {
  let state = start;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) % below;
  };
}

const random = randomBy(seed);

// Gateway 1 is never ended, so that its memory tells.
const kEvents = {
  'PostgreSQL stopped (fast)': (storm) => storm.databaseAway('fast', 1 + random(60)),
  'PostgreSQL stopped (immediate)': (storm) => storm.databaseAway('immediate', 1 + random(60)),
  'PostgreSQL away for 5 s': (storm) =>
    storm.databaseAway(random(2) ? 'fast' : 'immediate', 1, () => new Promise((resolve) => setTimeout(resolve, 5000))),
  'a session killed': (storm) => storm.killSession(),
  'a gateway killed': (storm) => storm.killGateway(0),
  'a gateway stopped': (storm) => storm.stopGateway(0),
  'the provider’s connections broken': (storm) => storm.upstream.breakAll(),
  'a provider with faults': async (storm) => {
    const until = storm.upstream.failed.size + 20;
    storm.upstream.failBy(() => kUpstreamFaults[random(kUpstreamFaults.length)]);
    while (storm.upstream.failed.size < until) await new Promise((resolve) => setTimeout(resolve, 20));
    storm.upstream.failBy(() => null);
  },
  'a provider that is slower': (storm) => {
    storm.upstream.delayMs = random(300);
  },
};

function checkUsage(storm, first) {
  const now = storm.usage()[1];
  assert.ok(now.memoryKb < first.memoryKb + kMostGrowthKb, `memory: ${JSON.stringify([first, now])}`);
  assert.ok(now.descriptors < first.descriptors + kMostMoreDescriptors, `descriptors: ${JSON.stringify([first, now])}`);
  return now;
}

async function soak(storm, until) {
  const names = Object.keys(kEvents);
  const counts = Object.fromEntries(names.map((name) => [name, 0]));
  let first; // what the gateway took once it had worked
  let kept = 0;
  const sums = { calls: 0, answered: 0 };
  while (Date.now() < until) {
    const pause = Math.min(until, Date.now() + kVerifyEveryMs);
    storm.load(kClients);
    while (Date.now() < pause) {
      await storm.progress(20 + random(200));
      const name = names[random(names.length)];
      process.stderr.write(`${name}\n`);
      await kEvents[name](storm);
      counts[name] += 1;
    }
    await storm.progress(50);
    const figures = await storm.verify();
    sums.calls += figures.calls - kept;
    sums.answered += figures.answered;
    await storm.forget();
    kept = storm.calls.size;
    first ??= storm.usage()[1];
    process.stderr.write(`${JSON.stringify({ figures, usage: checkUsage(storm, first) })}\n`);
  }
  return { seed, ...sums, lost: 0, doubled: 0, broken: 0, events: counts, first, last: checkUsage(storm, first) };
}

const storm = await Storm.start({ flags: kFlags });
try {
  process.stdout.write(`gateways: ${JSON.stringify(await soak(storm, Date.now() + Number(values.seconds) * 1000))}\n`);
} catch (error) {
  process.stderr.write(`seed ${seed}: ${error.stack}\n${storm.gateways.map(({ log }) => log.slice(-2000)).join('\n')}\n`);
  process.exitCode = 1;
} finally {
  await storm.stop();
}
