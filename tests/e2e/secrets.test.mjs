// Nothing that is secret is ever written: marked secrets are put wherever one can be, every front door is driven into
// every kind of error, and then everything that was said, logged or stored is searched for them.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { kRole } from './support/database.mjs';
import { Gateway } from './support/gateway.mjs';
import { Tattler, kTattles } from './support/tattler.mjs';
import { World, kProviders } from './support/world.mjs';

// Keys as the providers make them, and as none of them does.
const kProviderSecrets = Object.fromEntries(
  kProviders.map((provider, index) => [provider, `${['', 'sk-', 'gsk_'][index % 3]}planted.${provider}/0123456789+abcdef=`]),
);
const kDatabasePassword = 'planted-database-password-9876543210';
// What else an operator sets that nobody may see.
const kSettings = {
  HOLDFAST_JWT_SECRET: 'planted-secret-of-signed-tokens-0123456789',
  HOLDFAST_METRICS_TOKEN: 'planted-token-of-metrics-0123456789',
  HOLDFAST_PUBLISH_WEBHOOK_SECRET: 'planted-secret-of-the-webhook-0123456789',
};
const kModel = 'tattled';

const kMessages = [{ role: 'user', content: 'Hello!' }];
const kDoors = {
  chat: (model) => ['/v1/chat/completions', { model, messages: kMessages }],
  'a chat’s stream': (model) => ['/v1/chat/completions', { model, messages: kMessages, stream: true }],
  messages: (model) => ['/v1/messages', { model, max_tokens: 50, messages: kMessages }],
  'a message’s stream': (model) => ['/v1/messages', { model, max_tokens: 50, messages: kMessages, stream: true }],
  generate: (model, provider) => ['/api/ai/generate', { prompt: 'Hello!', provider, model: kModel }],
  stream: (model, provider) => ['/api/ai/stream', { prompt: 'Hello!', provider, model: kModel }],
  embeddings: (model) => ['/v1/embeddings', { model, input: 'Hello!' }],
  workflow: (model, provider) => [
    '/api/workflows/run',
    { userId: 'u', workflow: { name: 'w', steps: [{ id: 'a', provider, model: kModel, input: { prompt: 'Hello!', maxTokens: 50 } }] } },
  ],
};

let world;
let tattler;
let gateway;
const said = []; // everything that anybody was told, or that was written: {where, text}
const secrets = new Map(); // a secret by what it is
before(async () => {
  world = await World.create();
  tattler = await Tattler.start();
  const env = {};
  for (const provider of kProviders) {
    env[`${provider.toUpperCase()}_API_KEY`] = kProviderSecrets[provider];
    env[`${provider.toUpperCase()}_BASE_URL`] = `${tattler.origin}/${provider}`;
    secrets.set(`the key of ${provider}`, kProviderSecrets[provider]);
    await world.database.price(provider, kModel, { input: '1', output: '1' });
  }
  for (const [name, secret] of Object.entries(kSettings)) secrets.set(name, secret);
  await world.database.query(`GRANT EXECUTE ON FUNCTION holdfast.register_token TO ${kRole}`);
  secrets.set('the database’s password', kDatabasePassword);
  secrets.set('an API key', world.organization.key);
  gateway = await world.startGateway({
    database: `${world.database.conninfo} password=${kDatabasePassword}`,
    flags: ['--run-steps', '2', '--max-fallbacks', '0', '--log-level', 'debug'],
    env: { ...env, ...kSettings, HOLDFAST_PUBLISH_WEBHOOK_URL: tattler.origin },
  });
});
after(async () => {
  await tattler.stop();
  await world.close();
});

// As it is, and as it is when it was encoded on the way.
function forms(secret) {
  const bytes = Buffer.from(secret);
  return [secret, encodeURIComponent(secret), bytes.toString('hex'), bytes.toString('base64').replace(/.{0,2}=*$/, '')];
}

function assertNoSecrets(texts) {
  for (const [what, secret] of secrets) {
    for (const form of forms(secret)) {
      for (const { where, text } of texts) {
        const at = text.indexOf(form);
        assert.equal(at, -1, `${what} stands in ${where}: ${text.slice(Math.max(0, at - 300), at + 300)}`);
      }
    }
    // Half of it, where something was cut.
    const half = secret.slice(0, Math.floor(secret.length * 0.6));
    for (const { where, text } of texts) assert.ok(!text.includes(half), `a part of ${what} stands in ${where}`);
  }
}

// One request whose answer, headers included, is kept for the search.
async function ask(what, method, path, options) {
  const answer = await world.http(method, path, { gateway, ...options });
  said.push({ where: `the answer to ${what}`, text: `${JSON.stringify([...answer.headers])}\n${answer.text}` });
  return answer;
}

for (const [place, tattle] of Object.entries(kTattles)) {
  test(`a provider that tells its key ${place}`, async () => {
    tattler.tattle = tattle;
    tattler.keys.clear();
    for (const provider of kProviders) {
      for (const [door, make] of Object.entries(kDoors)) {
        const [path, body] = make(`${provider}/${kModel}`, provider);
        await ask(`${door} (${provider}, ${place})`, 'POST', path, { body });
        // What a failure taught the gateways keeps nobody from asking again.
        await world.database.query('DELETE FROM holdfast.provider_pauses');
        await world.database.query('SELECT holdfast.reset_breaker($1)', [provider]);
      }
    }
    assert.deepEqual([...tattler.keys].sort(), Object.values(kProviderSecrets).sort(), 'every provider was sent its key');
    assertNoSecrets(said);
  });
}

test('API keys where they do not belong', async () => {
  const revoked = await world.database.key(world.organization.id);
  await world.database.query('SELECT holdfast.revoke_api_key($1, $2)', [revoked.keyId, world.organization.id]);
  secrets.set('a revoked API key', revoked.key);
  const broken = `${world.organization.key}x`;
  const body = { model: `openai/${kModel}`, messages: kMessages };
  tattler.tattle = kTattles['in a page'];
  const key = world.organization.key;
  const asked = [
    ['revoked', '/v1/chat/completions', { key: revoked.key, body }],
    ['malformed', '/v1/chat/completions', { key: broken, body }],
    ['in the query', `/v1/chat/completions?api_key=${key}`, { body }],
    ['in the path', `/v1/${key}`, { body }],
    ['in the path of a workflow', `/api/workflows/${key}`, { body: {} }],
    ['in the body', '/v1/chat/completions', { body: { ...body, api_key: key } }],
    ['in a body that is no JSON', '/v1/chat/completions', { body: `{"api_key": ${key}` }],
    ['as a member', '/v1/chat/completions', { body: { ...body, messages: [{ role: key, content: 'x' }] } }],
    ['as a type', '/v1/messages', { body: { model: body.model, max_tokens: 5, messages: [{ role: 'user', content: [{ type: key }] }] } }],
    ['in headers', '/v1/chat/completions', { body, headers: { 'x-api-key': key, cookie: `k=${key}`, 'proxy-authorization': key, 'x-trace': key } }],
    ['as a workflow', '/v1/chat/completions', { body, headers: { 'X-Holdfast-Workflow': key } }],
    ['as an organization', '/v1/chat/completions', { body, headers: { 'X-Holdfast-Organization': key } }],
    ['as a content type', '/v1/chat/completions', { body, headers: { 'content-type': key } }],
    ['as a routing', '/v1/chat/completions', { body, headers: { 'X-Holdfast-Routing': key } }],
  ];
  for (const [what, path, options] of asked) await ask(`an API key ${what}`, 'POST', path, options);
  assertNoSecrets(said);
});

test('what everybody may read', async () => {
  for (const path of ['/metrics', '/v1/models', '/api/ai/providers', '/api/ai/health', '/api/ai/health/full', '/api/ai/telemetry']) {
    await ask(path, 'GET', path);
  }
  const answer = await ask('/metrics with its token', 'GET', '/metrics', { key: kSettings.HOLDFAST_METRICS_TOKEN });
  assert.equal(answer.status, 200, answer.text);
  assertNoSecrets(said);
});

test('settings that are wrong, beside secrets or in them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-secrets-'));
  const file = join(folder, 'settings');
  const runs = [
    [['--database', `host=127.0.0.1 port=1 password=${kDatabasePassword} connect_timeout=2`], {}],
    [['--database', `host=127.0.0.1 password=planted ${kDatabasePassword}`], {}],
    [['--database', `host=127.0.0.1 password='${kDatabasePassword}`], {}],
    [['--database', `host=127.0.0.1 passwort=${kDatabasePassword}`], {}],
    [['--database', `postgresql://holdfast:${kDatabasePassword}@127.0.0.1:port/x`], {}],
    [['--database', `postgresql://holdfast:${kDatabasePassword}%zz@127.0.0.1/x`], {}],
    [['--database', `postgresql://holdfast:x@[${kDatabasePassword}/x`], {}],
    [[kDatabasePassword], {}],
    [['--threads', kDatabasePassword], {}],
    [['--config', file], { OPENAI_API_KEY: `${kProviderSecrets.openai} and more` }],
    [['--config', file], { OPENAI_BASE_URL: kProviderSecrets.openai, OPENAI_API_KEY: 'x' }],
    [['--tls-certificate', file, '--tls-key', file], {}],
    [['--config', file], { HOLDFAST_PUBLISH_WEBHOOK_SECRET: kSettings.HOLDFAST_PUBLISH_WEBHOOK_SECRET }],
    [['--config', file], { HOLDFAST_METRICS_TOKEN: `${kSettings.HOLDFAST_METRICS_TOKEN} ` }],
    [['--config', file], { HOLDFAST_JWT_SECRET: kSettings.HOLDFAST_JWT_SECRET.slice(0, 31) }],
  ];
  try {
    for (const content of [`OPENAI_API_KEY ${kProviderSecrets.openai}`, `OPENAI_API_KEY=${kProviderSecrets.openai} x`, `${kProviderSecrets.openai}=x`]) {
      writeFileSync(file, content);
      for (const [flags, env] of runs) {
        const { code, stdout, stderr } = await Gateway.run(['--listen', '127.0.0.1:0', ...flags], env);
        assert.notEqual(code, 0);
        said.push({ where: `what ${flags} and ${content} came to`, text: stdout + stderr });
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  assertNoSecrets(said);
});

test('everything that was logged or stored', async () => {
  const written = [{ where: 'the gateway’s log', text: gateway.log }];
  const tables = await world.database.query(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')`,
  );
  assert.ok(tables.length > 20);
  for (const { name } of tables) {
    const text = await world.database.value(`SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM ${name} t`);
    written.push({ where: `the table ${name}`, text });
  }
  const sessions = await world.database.query('SELECT query, application_name FROM pg_stat_activity');
  written.push({ where: 'what sessions do', text: JSON.stringify(sessions) });
  const folder = await world.database.value('SHOW data_directory');
  written.push({ where: 'the server’s log', text: readFileSync(join(dirname(folder), 'server.log'), 'utf8') });
  assertNoSecrets(written);
  assert.ok(gateway.log.includes('"status":502') || gateway.log.includes('provider_error'), 'the log was read');
});
