// Signed tokens in place of API keys: HS256 by a shared secret, RS256 and ES256 by a JWKS file.

import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, randomUUID, sign as signWith } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { kRole } from './support/database.mjs';
import { Gateway } from './support/gateway.mjs';
import { fixture, usageOf } from './support/fixtures.mjs';
import { World } from './support/world.mjs';

const kModel = 'gpt-5-nano';
const kUsage = usageOf(fixture('chat_basic'));
const kSecret = 'a secret of more than thirty-two bytes';
const kRegister = 'FUNCTION holdfast.register_token(uuid, bytea, text, text, timestamptz)';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });

let world;
let gateway;
let folder;
let file;
let keys;

const jwk = (pair, kid) => ({ ...pair.publicKey.export({ format: 'jwk' }), kid });
const settings = () => [`HOLDFAST_JWT_SECRET=${kSecret}`, `HOLDFAST_JWT_KEYS=${keys}`, 'HOLDFAST_JWT_ISSUER=https://id.test'];
const write = (...lines) => writeFileSync(file, `${lines.join('\n')}\n`);

before(async () => {
  world = await World.create();
  folder = mkdtempSync(join(tmpdir(), 'holdfast-tokens-'));
  file = join(folder, 'holdfast.conf');
  keys = join(folder, 'keys.json');
  writeFileSync(keys, JSON.stringify({ keys: [jwk(rsa, 'rsa-1'), jwk(ec, 'ec-1')] }));
  write(...settings());
  await world.database.query(`GRANT EXECUTE ON ${kRegister} TO ${kRole}`);
  gateway = await world.startGateway({ flags: ['--config', file] });
});
afterEach(() => world.verify());
after(async () => {
  await world.close();
  rmSync(folder, { recursive: true });
});

const base64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const nowS = () => Math.floor(Date.now() / 1000);
const claims = (more = {}) => ({
  iss: 'https://id.test', aud: 'authenticated', role: 'authenticated', sub: 'user-1', exp: nowS() + 3600,
  organization_id: world.organization.id, nonce: randomUUID(), ...more,
});

function signed(payload, { alg = 'HS256', kid, key = kSecret, header = {} } = {}) {
  const text = `${base64({ alg, typ: 'JWT', ...(kid ? { kid } : {}), ...header })}.${base64(payload)}`;
  if (alg === 'none') return `${text}.`;
  if (alg === 'HS256') return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
  return `${text}.${signWith('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

const body = { model: kModel, max_tokens: 400, messages: [{ role: 'user', content: 'Hello!' }] };
const post = (key, options = {}) => world.http('POST', '/v1/chat/completions', { gateway, key, body, ...options });

async function accepted(token) {
  world.replay.next('chat_basic');
  const answer = await post(token);
  assert.equal(answer.status, 200, answer.text);
  world.expectEntry({ model: kModel, usage: kUsage });
}

async function refused(token, message) {
  const answer = await post(token);
  assert.equal(answer.status, 401, answer.text);
  assert.match(answer.json.error.message, message);
  assert.ok(!answer.text.includes(token));
}

for (const [name, how] of [
  ['HS256', {}],
  ['RS256', { alg: 'RS256', kid: 'rsa-1', key: rsa.privateKey }],
  ['ES256', { alg: 'ES256', kid: 'ec-1', key: ec.privateKey }],
  ['ES256 without a key id', { alg: 'ES256', key: ec.privateKey }],
]) {
  test(`a token signed by ${name} is a caller, and its user’s spending is its own`, async () => {
    const user = `user-${randomUUID()}`;
    await accepted(signed(claims({ sub: user }), how));
    const spender = await world.database.value(
      `SELECT user_id FROM holdfast.ai_usage_ledger ORDER BY created_at DESC, id DESC LIMIT 1`);
    assert.equal(spender, user);
  });
}

test('a token is taken as X-Api-Key too, and on every route', async () => {
  const token = signed(claims());
  const list = await world.http('GET', '/v1/models', { gateway, key: null, headers: { 'x-api-key': token } });
  assert.equal(list.status, 200, list.text);
});

test('what is not signed by a key of ours is refused', async () => {
  const unsigned = /not signed with a key that is known/;
  await refused(signed(claims(), { key: 'another secret of more than thirty-two' }), unsigned);
  await refused(signed(claims(), { alg: 'ES256', kid: 'ec-1', key: stranger.privateKey }), unsigned);
  await refused(signed(claims(), { alg: 'ES256', kid: 'other', key: ec.privateKey }), unsigned);
  await refused(signed(claims(), { alg: 'none' }), unsigned);
  // The public key as if it were a shared secret.
  const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' });
  await refused(signed(claims(), { kid: 'rsa-1', key: pem }), unsigned);
  const [head, , signature] = signed(claims()).split('.');
  await refused(`${head}.${base64(claims({ sub: 'somebody-else' }))}.${signature}`, unsigned);
});

test('a token that has ended, begins later, or is for others is refused', async () => {
  await refused(signed(claims({ exp: nowS() - 1 })), /has expired/);
  await refused(signed(claims({ exp: undefined })), /no time of expiry/);
  await refused(signed(claims({ exp: nowS() + 30 * 86400 })), /not within the next 7 days/);
  await refused(signed(claims({ nbf: nowS() + 3600 })), /not valid yet/);
  await refused(signed(claims({ aud: 'others' })), /another audience/);
  await refused(signed(claims({ iss: 'https://other.test' })), /another issuer/);
  await refused(signed(claims({ sub: undefined })), /names no user/);
  await refused(signed(claims({ holdfast_role: 'king' })), /holdfast_role/);
});

test('a token without an organization has not the form of a key', async () => {
  const answer = await post(signed(claims({ organization_id: undefined })));
  assert.equal(answer.status, 401, answer.text);
});

test('a token of one organization does not act for another', async () => {
  const other = await world.newOrganization();
  const answer = await post(signed(claims()), { headers: { 'x-holdfast-organization': other.id } });
  assert.equal(answer.status, 403, answer.text);
});

test('a token ends with its time, and when it is revoked', async () => {
  const token = signed(claims());
  await accepted(token);
  const known = `WHERE is_token AND organization_id = '${world.organization.id}'`;
  const id = await world.database.value(`SELECT api_key_id FROM holdfast.api_keys ${known} ORDER BY created_at DESC LIMIT 1`);
  await world.database.query('SELECT holdfast.revoke_api_key($1, $2)', [id, world.organization.id]);
  await refused(token, /was revoked/);
  await world.database.query(`UPDATE holdfast.api_keys SET revoked_at = NULL, expires_at = now() WHERE api_key_id = $1`, [id]);
  await refused(token, /has expired/);
});

test('keys are exchanged by a reload, whole or not at all', async () => {
  const next = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const token = () => signed(claims(), { alg: 'ES256', kid: 'ec-2', key: next.privateKey });
  const reload = (event) => {
    const offset = gateway.log.length;
    gateway.signal('SIGHUP');
    return gateway.logged(event, offset);
  };
  await refused(token(), /not signed with a key that is known/);
  writeFileSync(keys, JSON.stringify({ keys: [jwk(next, 'ec-2'), { kty: 'oct', k: base64(kSecret) }] }));
  assert.match((await reload('reload_refused')).message, /key 2 is no RSA or EC key/);
  await refused(token(), /not signed with a key that is known/);
  writeFileSync(keys, JSON.stringify({ keys: [jwk(next, 'ec-2')] }));
  await reload('reloaded');
  await accepted(token());
  await refused(signed(claims(), { alg: 'ES256', kid: 'ec-1', key: ec.privateKey }), /not signed with a key that is known/);
});

test('a gateway that may not register tokens does not start with keys for them', async () => {
  await world.database.query(`REVOKE EXECUTE ON ${kRegister} FROM ${kRole}`);
  const { code, stderr } = await Gateway.run(['--listen', '127.0.0.1:0', '--database', world.database.conninfo, '--config', file]);
  assert.equal(code, 1);
  assert.match(stderr, /GRANT EXECUTE ON FUNCTION holdfast\.register_token/);
  const short = await Gateway.run(['--database', world.database.conninfo], { HOLDFAST_JWT_SECRET: 'short' });
  assert.equal(short.code, 2);
  assert.match(short.stderr, /HOLDFAST_JWT_SECRET must have at least 32 bytes/);
});
