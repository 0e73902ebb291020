// Calls that are too dear to be made without an admin's word: they wait with 202, and are made once when it is given.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { fixture, usageOf } from './support/fixtures.mjs';
import { decimal, moneyIn, usd } from './support/money.mjs';
import { World } from './support/world.mjs';

const kFlags = ['--auto-approve-usd', '0.0001'];
const kBody = { model: 'gpt-5-nano', messages: [{ role: 'user', content: 'Hello!' }] };
// Bytes, 8 for the message and 16; 1024 completion tokens.
const kEstimate = (BigInt('userHello!'.length + 8 + 16) * usd('0.0513') + 1024n * usd('0.4171')) / 1_000_000n;

let world;
let admin;
before(async () => {
  world = await World.create({ flags: kFlags });
  admin = await world.database.value(
    `SELECT api_key FROM holdfast.create_api_key($1, 'admin', p_user_id => 'ada', p_role => 'admin')`,
    [world.organization.id],
  );
});
afterEach(() => world.verify());
after(() => world.close());

const ask = (body = kBody, { path = '/v1/chat/completions', headers = {}, gateway = world.gateway } = {}) =>
  world.http('POST', path, { body, headers, gateway });
const repeat = (id, options = {}) => ask(kBody, { ...options, headers: { 'x-holdfast-approval': id, ...options.headers } });
const decide = (id, what, body = {}, key = admin) => world.http('POST', `/api/ai/approvals/${id}/${what}`, { body, key });

function expectCall() {
  return world.expectEntry({ model: 'gpt-5-nano', usage: usageOf(fixture('chat_basic')) });
}

async function waiting(answer) {
  assert.equal(answer.status, 202, answer.text);
  const id = answer.headers.get('x-holdfast-approval');
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.equal(await world.openHolds(), 0, 'nothing is held while it waits');
  return id;
}

test('a dear call waits with 202 and the approval’s id in every shape, and calls no provider', async () => {
  const chat = await ask();
  const id = await waiting(chat);
  assert.equal(chat.json.error.code, 'approval_required');
  assert.equal(chat.json.error.type, 'approval_required');
  assert.match(chat.json.error.message, new RegExp(id));

  const streamed = await ask({ ...kBody, stream: true });
  await waiting(streamed);
  assert.match(streamed.headers.get('content-type'), /^application\/json/);

  const messages = await ask({ ...kBody, max_tokens: 1024 }, { path: '/v1/messages' });
  await waiting(messages);
  assert.equal(messages.json.error.code, 'approval_required');

  for (const path of ['/api/ai/generate', '/api/ai/stream']) {
    const answer = await ask({ prompt: 'Hello!', model: 'gpt-5-nano' }, { path });
    const approval = await waiting(answer);
    assert.equal(answer.json.success, false);
    assert.equal(answer.json.code, 'approval_required');
    assert.equal(answer.json.approvalId, approval);
    assert.equal(decimal(moneyIn(answer.text, 'estimatedCostUSD')), decimal(kEstimate));
    assert.equal(decimal(moneyIn(answer.text, 'thresholdUSD')), '0.0001');
    assert.ok(Date.parse(answer.json.expiresAt) > Date.now());
  }
  assert.equal(await waiting(await ask()), id, 'who asks again waits for the same approval');
  assert.equal(world.replay.requests.length, 0);
});

test('an admin approves it, and it is made once', async () => {
  const id = await waiting(await ask());
  assert.equal((await repeat(id)).status, 202, 'not yet');
  const member = await decide(id, 'approve', {}, world.organization.key);
  assert.equal(member.status, 403, member.text);

  const listed = await world.http('GET', '/api/ai/approvals?status=waiting', { key: admin });
  const entry = listed.json.approvals.find(({ approvalId }) => approvalId === id);
  assert.equal(entry.model, 'gpt-5-nano');
  assert.equal(entry.provider, 'openai');
  assert.equal(entry.route, 'POST /v1/chat/completions');
  assert.equal(listed.json.total, listed.json.approvals.length);

  const approved = await decide(id, 'approve', { reason: 'worth it' });
  assert.equal(approved.status, 200, approved.text);
  assert.deepEqual(
    [approved.json.approval.status, approved.json.approval.decidedBy, approved.json.approval.reason],
    ['approved', 'ada', 'worth it'],
  );
  assert.equal((await decide(id, 'refuse')).status, 409);

  const other = await ask({ ...kBody, temperature: 1 }, { headers: { 'x-holdfast-approval': id } });
  assert.equal(other.status, 409, other.text);
  assert.equal(other.json.error.code, 'approval_mismatch');

  world.replay.next('chat_basic');
  const first = await repeat(id);
  assert.equal(first.status, 200, first.text);
  const again = await repeat(id);
  assert.equal(again.status, 200, again.text);
  assert.equal(again.headers.get('idempotent-replay'), 'true');
  assert.deepEqual(again.json, first.json);
  expectCall();
  const used = await world.http('GET', `/api/ai/approvals/${id}`);
  assert.equal(used.json.approval.status, 'used', 'who asked sees what became of it');
});

test('of sixteen who repeat it at once through two gateways exactly one calls the provider', async () => {
  const second = await world.startGateway({ flags: kFlags });
  const id = await waiting(await ask());
  await decide(id, 'approve');
  const planned = world.replay.next('chat_basic', { waits: true });
  const calls = Array.from({ length: 16 }, (_, i) => repeat(id, { gateway: i % 2 ? world.gateway : second }));
  await planned.arrived;
  planned.release();
  const answers = await Promise.all(calls);
  assert.ok(answers.every(({ status }) => status === 200 || status === 409), answers.map(({ text }) => text).join());
  assert.equal(answers.filter(({ status, headers }) => status === 200 && !headers.get('idempotent-replay')).length, 1);
  expectCall();
});

test('an approval outlives the gateway that asked for it', async () => {
  const first = await world.startGateway({ flags: kFlags });
  const id = await waiting(await ask(kBody, { gateway: first }));
  await first.stop();
  await decide(id, 'approve');
  const second = await world.startGateway({ flags: kFlags });
  world.replay.next('chat_basic');
  assert.equal((await repeat(id, { gateway: second })).status, 200);
  expectCall();
});

test('a refused call stays refused, with the reason, and an expired one is asked for anew', async () => {
  const id = await waiting(await ask());
  const decided = await decide(id, 'refuse', { reason: 'not this month' });
  assert.equal(decided.json.approval.status, 'refused');
  const refused = await repeat(id);
  assert.equal(refused.status, 403, refused.text);
  assert.equal(refused.json.error.code, 'approval_refused');
  assert.match(refused.json.error.message, /not this month/);

  const late = await waiting(await ask());
  await world.database.query('UPDATE holdfast.ai_approvals SET expires_at = now() WHERE approval_id = $1', [late]);
  assert.equal((await decide(late, 'approve')).status, 409);
  const expired = await repeat(late);
  assert.equal(expired.status, 409, expired.text);
  assert.equal(expired.json.error.code, 'approval_expired');
  assert.notEqual(await waiting(await ask()), late);
});

test('a failed call that charged nothing may be made again', async () => {
  const id = await waiting(await ask());
  await decide(id, 'approve');
  world.replay.next('error_429_rate_limit_tpm');
  assert.equal((await repeat(id)).status, 429);
  await world.database.query('DELETE FROM holdfast.provider_pauses');
  world.replay.next('chat_basic');
  assert.equal((await repeat(id)).status, 200);
  expectCall();
});

test('without a setting, calls up to one dollar need no word', async () => {
  const gateway = await world.startGateway();
  world.replay.next('chat_basic');
  assert.equal((await ask(kBody, { gateway })).status, 200);
  expectCall();
  // 20000 completion tokens of gpt-4 at 60.07 USD a million.
  await waiting(await ask({ ...kBody, model: 'gpt-4', max_tokens: 20000 }, { gateway }));
});

test('what is no approval is refused', async () => {
  assert.equal((await repeat('no-uuid')).status, 400);
  assert.equal((await repeat('a9000000-0000-0000-0000-000000000000')).status, 404);
  assert.equal((await world.http('GET', '/api/ai/approvals?limit=0', { key: admin })).status, 400);
  assert.equal((await world.http('GET', '/api/ai/approvals?status=lost', { key: admin })).status, 400);
  const other = await world.newOrganization();
  const id = await waiting(await ask());
  assert.equal((await world.http('GET', `/api/ai/approvals/${id}`, { key: other.key })).status, 404);
});
