// The program's own face: its help, and settings that it refuses by name before it starts.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Gateway } from './support/gateway.mjs';

const kVersion = /default_version = '(.+)'/.exec(readFileSync(new URL('../../holdfast.control', import.meta.url), 'utf8'))[1];
const kFlags = [
  '--listen', '--database', '--database-pool', '--threads', '--max-body-bytes', '--max-prompt-bytes',
  '--default-max-tokens', '--max-completion-tokens', '--connect-timeout-ms', '--first-byte-timeout-ms',
  '--idle-timeout-ms', '--total-timeout-ms', '--hold-ttl-ms', '--drain-timeout-ms', '--max-answer-bytes',
  '--default-provider', '--tls-certificate', '--tls-key', '--help', '--version',
];

test('--help names every flag and every variable, and no value of a secret', async () => {
  const secret = 'provider-key-that-nobody-may-see';
  const { code, stdout } = await Gateway.run(['--help'], { OPENAI_API_KEY: secret });
  assert.equal(code, 0);
  for (const name of [...kFlags, 'HOLDFAST_LISTEN', 'HOLDFAST_DATABASE', 'OPENAI_API_KEY', 'OPENAI_BASE_URL',
    'ORCHESTRATOR_MAX_INPUT_LENGTH', 'ORCHESTRATOR_DEFAULT_PROVIDER']) {
    assert.ok(stdout.includes(name), name);
  }
  assert.ok(!stdout.includes(secret));
});

test('--version is the one of holdfast.control', async () => {
  const { code, stdout } = await Gateway.run(['--version']);
  assert.equal(code, 0);
  assert.match(stdout, new RegExp(`\\b${kVersion.replaceAll('.', '\\.')}\\b`));
});

for (const [name, flags, env] of [
  ['--listen', ['--listen', 'nowhere'], {}],
  ['--threads', ['--threads', 'many'], {}],
  ['--hold-ttl-ms', ['--hold-ttl-ms', '-1'], {}],
  ['--max-body-bytes', ['--max-body-bytes', '1e9'], {}],
  ['--no-such-flag', ['--no-such-flag'], {}],
  ['ORCHESTRATOR_MAX_INPUT_LENGTH', [], { ORCHESTRATOR_MAX_INPUT_LENGTH: '50KB' }],
  ['ORCHESTRATOR_DEFAULT_PROVIDER', [], { ORCHESTRATOR_DEFAULT_PROVIDER: 'nobody' }],
]) {
  test(`a bad ${name} is refused at the start, by name`, async () => {
    const { code, stdout, stderr } = await Gateway.run(flags, env);
    assert.notEqual(code, 0);
    assert.ok((stdout + stderr).includes(name), stdout + stderr);
  });
}

test('a database that is not there is told at the start', async () => {
  const { code, stderr } = await Gateway.run(['--listen', '127.0.0.1:0', '--database', 'host=127.0.0.1 port=1 connect_timeout=2']);
  assert.notEqual(code, 0);
  assert.match(stderr, /database/i);
});
