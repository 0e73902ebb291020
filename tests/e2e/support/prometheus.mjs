// Reads Prometheus' text format (version 0.0.4) strictly, and says what is wrong with it.

import assert from 'node:assert/strict';

const kName = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const kLabel = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const kSample = new RegExp(`^(${kName})(?:\\{(${kLabel}(?:,${kLabel})*)\\})? (NaN|[+-]?Inf|-?[0-9.]+(?:e[+-]?[0-9]+)?)$`);
const kTypes = ['counter', 'gauge', 'histogram', 'summary', 'untyped'];

// The samples by metric: {name: {type, samples: [{name, labels, value}]}}.
export function readMetrics(text) {
  assert.ok(text.endsWith('\n'), 'the last line is ended');
  const metrics = {};
  let open; // the metric whose lines these are
  const seen = new Set();
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment) {
      const [, what, name, rest] = comment;
      if (what === 'HELP') {
        assert.ok(!(name in metrics), `${name} has one HELP`);
        metrics[name] = open = { name, help: rest, samples: [] };
      } else {
        assert.equal(open?.name, name, `the TYPE of ${name} follows its HELP`);
        assert.ok(kTypes.includes(rest), `${rest} is a type`);
        open.type = rest;
      }
      continue;
    }
    const sample = kSample.exec(line);
    assert.ok(sample, `a line that is none: ${line}`);
    const [, name, labelText, valueText] = sample;
    const family = open.type === 'histogram' ? name.replace(/_(bucket|sum|count)$/, '') : name;
    assert.equal(family, open.name, `${name} stands with its own metric`);
    if (open.type === 'counter') assert.match(name, /_total$/, `${name} is a counter`);
    assert.ok(!seen.has(`${name}{${labelText}}`), `${line} comes once`);
    seen.add(`${name}{${labelText}}`);
    const labels = Object.fromEntries(
      [...(labelText ?? '').matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g)].map(([, key, value]) => [key, value]),
    );
    open.samples.push({ name, labels, value: Number(valueText.replace('Inf', 'Infinity')) });
  }
  for (const metric of Object.values(metrics)) {
    assert.ok(metric.type, `${metric.name} has a TYPE`);
    if (metric.type === 'histogram') verifyHistogram(metric);
  }
  return metrics;
}

// Buckets only grow, end with +Inf, and agree with the count.
function verifyHistogram({ name, samples }) {
  const series = new Map();
  for (const { name: sample, labels, value } of samples) {
    const { le, ...rest } = labels;
    const key = JSON.stringify(rest);
    if (!series.has(key)) series.set(key, { buckets: [] });
    if (sample.endsWith('_bucket')) series.get(key).buckets.push([le === '+Inf' ? Infinity : Number(le), value]);
    else series.get(key)[sample.slice(name.length + 1)] = value;
  }
  for (const [key, { buckets, sum, count }] of series) {
    for (let i = 1; i < buckets.length; i++) {
      assert.ok(buckets[i][0] > buckets[i - 1][0] && buckets[i][1] >= buckets[i - 1][1], `${name}${key}: buckets grow`);
    }
    assert.deepEqual(buckets.at(-1), [Infinity, count], `${name}${key}: +Inf is the count`);
    assert.ok(sum >= 0);
  }
}

// The value of a sample; 0 where there is none.
export function valueOf(metrics, name, labels = {}) {
  const family = metrics[name] ?? metrics[name.replace(/_(bucket|sum|count)$/, '')];
  assert.ok(family, `there is a metric ${name}`);
  const found = family.samples.find(
    (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  return found?.value ?? 0;
}
