// Answers kept for requests that are asked again: nothing is charged, and nobody else gets them.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { Asker, cacheOf, kModel, kOn, question } from './support/asker.mjs';
import { Wire } from './support/database.mjs';
import { chunksOf, fixture } from './support/fixtures.mjs';
import { decimal, moneyIn, usd } from './support/money.mjs';
import { readMetrics, valueOf } from './support/prometheus.mjs';
import { World, readStream } from './support/world.mjs';

let world;
let asker;
before(async () => {
  world = await World.create();
  asker = new Asker(world);
});
afterEach(() => world.verify());
after(() => world.close());

const ask = (...request) => asker.ask(...request);
const askFirst = (...request) => asker.askFirst(...request);
const expectCall = (more) => asker.expectCall(more);
const expectHit = (more) => asker.expectHit(more);

test('a hit is the same answer, without the provider, at no cost', async () => {
  const body = question();
  const first = await askFirst(body);
  assert.equal(cacheOf(first), 'miss');
  const cost = expectCall();
  const again = await ask(body);
  assert.equal(cacheOf(again), 'hit');
  assert.deepEqual(again.json, first.json);
  assert.equal(again.headers.get('x-holdfast-cost'), '0');
  assert.equal(again.headers.get('x-holdfast-provider'), 'openai');
  assert.equal(decimal(usd(again.headers.get('x-holdfast-saved'))), decimal(cost));
  expectHit();
  const entry = await world.database.value(
    'SELECT (cache_hit, list_cost, hold_id IS NULL)::text FROM holdfast.ai_usage_ledger ORDER BY seq DESC LIMIT 1');
  assert.match(entry, /^\(t,0\.\d+,t\)$/);
});

test('/api/ai says that it is cached, under its own request id', async () => {
  const body = { prompt: `Question ${randomUUID()}`, model: kModel, cache: true };
  world.replay.next('chat_basic');
  const first = await world.http('POST', '/api/ai/generate', { body });
  expectCall();
  const again = await world.http('POST', '/api/ai/generate', { body });
  expectHit();
  assert.equal(first.json.cached, false);
  assert.equal(again.json.cached, true);
  assert.equal(again.json.content, first.json.content);
  assert.equal(decimal(moneyIn(again.text, 'costUSD')), '0');
  assert.equal(again.json.requestId, again.headers.get('x-holdfast-request'));
  assert.notEqual(again.json.requestId, first.json.requestId);
  const stream = await world.http('POST', '/api/ai/stream', { body });
  expectHit();
  assert.match(stream.text, /event: done\ndata: .*"cached":true/);
});

test('a stream that completes is kept, and given as a stream or whole', async () => {
  const body = { ...question(), model: 'gpt-4' };
  const said = chunksOf(fixture('stream_basic')).map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
  const stream = async () => {
    const call = world.client.chat.completions.create({ ...body, stream: true }, { headers: kOn });
    const { data, response } = await call.withResponse();
    return { text: (await readStream(data)).text, response };
  };
  world.replay.next('stream_basic');
  assert.equal((await stream()).text, said);
  await world.settled();
  const [first] = await world.takeEntries();
  const again = await stream();
  assert.equal(again.text, said);
  assert.equal(again.response.headers.get('x-holdfast-cache'), 'hit');
  const whole = await ask(body);
  assert.equal(whole.json.choices[0].message.content, said);
  for (const entry of await world.takeEntries())
    assert.deepEqual(entry, { ...first, hit: true, cost: '0', estimated: false });
});

test('a stream that breaks off is not kept', async () => {
  const body = { ...question(), stream: true };
  world.replay.next('stream_basic', { cutAfterEvents: 3 });
  await ask(body);
  await world.settled();
  await world.takeEntry('openai');
  world.replay.next('chat_basic');
  assert.equal(cacheOf(await ask({ ...body, stream: false })), 'miss');
  expectCall();
});

test('only what asks for it is kept, unless the organization wants all', async () => {
  const organization = await world.newOrganization();
  const more = { key: organization.key };
  const body = question();
  for (let calls = 0; calls < 2; calls++) {
    assert.equal(cacheOf(await askFirst(body, {}, more)), null);
    expectCall({ organization });
  }
  await world.database.query(`SELECT holdfast.set_organization_settings($1, p_cache => 'all')`, [organization.id]);
  await askFirst(question(), {}, more); // whose opening tells the gateway
  assert.equal(cacheOf(await askFirst(body, {}, more)), 'miss');
  assert.equal(cacheOf(await ask(body, {}, more)), 'hit');
  for (let calls = 0; calls < 2; calls++) expectCall({ organization });
  expectHit({ organization });
  await world.database.query(`SELECT holdfast.set_organization_settings($1, p_cache => 'off')`, [organization.id]);
  assert.equal(cacheOf(await askFirst(body, kOn, more)), null);
  expectCall({ organization });
});

test('Cache-Control is honoured', async () => {
  const body = question();
  const controlled = (control) => ({ ...kOn, 'Cache-Control': control });
  for (const control of ['no-store', 'private']) {
    assert.equal(cacheOf(await askFirst(body, controlled(control))), null);
    expectCall();
  }
  await askFirst(body);
  expectCall();
  assert.equal(cacheOf(await ask(body)), 'hit');
  expectHit();
  await askFirst(body, controlled('no-cache'));
  expectCall();
  await world.database.query(`UPDATE holdfast.ai_cache SET created_at = created_at - interval '1 minute'`);
  assert.equal(cacheOf(await ask(body, controlled('max-age=120'))), 'hit');
  expectHit();
  assert.equal(cacheOf(await askFirst(body, controlled('max-age=30'))), 'miss');
  expectCall();
});

test('what is private is never kept', async () => {
  const body = { prompt: `Question ${randomUUID()}`, model: kModel, cache: true, private: true };
  for (let calls = 0; calls < 2; calls++) {
    world.replay.next('chat_basic');
    assert.equal((await world.http('POST', '/api/ai/generate', { body })).json.cached, false);
    expectCall();
  }
});

test('an answer lives as long as its first request said', async () => {
  const body = question();
  await askFirst(body, { 'X-Holdfast-Cache': '60' });
  expectCall();
  const left = await world.database.value(
    'SELECT extract(epoch FROM expires_at - created_at)::int FROM holdfast.ai_cache ORDER BY created_at DESC LIMIT 1');
  assert.equal(left, 60);
  await world.database.query('UPDATE holdfast.ai_cache SET expires_at = now()');
  assert.equal(cacheOf(await askFirst(body)), 'miss');
  expectCall();
  const refused = await ask(body, { 'X-Holdfast-Cache': '86401' });
  assert.equal(refused.status, 400, refused.text);
});

test('two organizations never share an answer', async () => {
  const other = await world.newOrganization();
  const body = question();
  await askFirst(body);
  expectCall();
  assert.equal(cacheOf(await askFirst(body, kOn, { key: other.key })), 'miss');
  expectCall({ organization: other });
});

test('a revoked key gets no hit, and a hit counts on the rate limits', async () => {
  const body = question();
  const [key] = await world.database.query(
    `SELECT api_key AS key, api_key_id AS "keyId" FROM holdfast.create_api_key($1, 'two', p_requests_per_minute => 2)`,
    [world.organization.id],
  );
  await askFirst(body, kOn, { key: key.key });
  expectCall();
  const hit = await ask(body, kOn, { key: key.key });
  assert.equal(cacheOf(hit), 'hit');
  assert.equal(hit.headers.get('ratelimit-remaining'), '0');
  expectHit();
  assert.equal((await ask(body, kOn, { key: key.key })).status, 429);
  await world.database.query('SELECT holdfast.revoke_api_key($1, $2)', [key.keyId, world.organization.id]);
  assert.equal((await ask(body, kOn, { key: key.key })).status, 401);
});

test('an Idempotency-Key keeps the answer of a hit', async () => {
  const body = question();
  const headers = { ...kOn, 'Idempotency-Key': randomUUID() };
  await askFirst(body);
  expectCall();
  const hit = await ask(body, headers);
  assert.equal(cacheOf(hit), 'hit');
  expectHit();
  await world.database.query('SELECT holdfast.clear_cache($1)', [world.organization.id]);
  const repeat = await ask(body, headers);
  assert.equal(repeat.headers.get('idempotent-replay'), 'true');
  assert.deepEqual(repeat.json, hit.json);
});

// Each dialect's request, whole and as a stream, and the text of either answer.
const kDialects = {
  chat: {
    path: () => '/v1/chat/completions',
    body: (streamed) => ({ ...kAsked, stream: streamed }),
    whole: ({ json }) => json.choices[0].message.content,
    streamed: (events) => events.map((event) => event.choices[0]?.delta.content ?? '').join(''),
  },
  messages: {
    path: () => '/v1/messages',
    body: (streamed) => ({ ...kAsked, max_tokens: 700, stream: streamed }),
    whole: ({ json }) => json.content[0].text,
    streamed: (events) => events.map((event) => event.delta?.text ?? '').join(''),
  },
  generate: {
    path: (streamed) => (streamed ? '/api/ai/stream' : '/api/ai/generate'),
    body: () => ({ prompt: kAsked.messages[0].content, model: kModel }),
    whole: ({ json }) => json.content,
    streamed: (events) => events.filter((event) => !event.success).map((event) => event.content ?? '').join(''),
  },
};
const kAsked = question();

for (const [dialect, { path, body, whole, streamed }] of Object.entries(kDialects)) {
  test(`an answer that came whole is given as a stream, in the dialect of ${dialect} and in no other`, async () => {
    const get = (stream) => world.http('POST', path(stream), { body: body(stream), headers: kOn });
    world.replay.next('chat_basic');
    const first = await get(false);
    assert.equal(cacheOf(first), 'miss', first.text);
    expectCall();
    const stream = await get(true);
    assert.equal(cacheOf(stream), 'hit', stream.text);
    assert.equal(stream.headers.get('content-type'), 'text/event-stream');
    expectHit();
    const events = [...stream.text.matchAll(/^data: (\{.*)$/gm)].map(([, text]) => JSON.parse(text));
    assert.ok(whole(first).length > 0);
    assert.equal(streamed(events), whole(first));
  });
}

test('a hit is given when nothing is left to spend, and to no key that may not call its model', async () => {
  const organization = await world.newOrganization();
  const more = { key: organization.key };
  const body = question();
  await askFirst(body, kOn, more);
  expectCall({ organization });
  await world.database.query(`SELECT holdfast.set_budget(p_organization_id => $1, p_scope => 'organization', p_limit_usd => 0)`, [
    organization.id,
  ]);
  assert.equal((await ask(question(), kOn, more)).status, 402);
  assert.equal(cacheOf(await ask(body, kOn, more)), 'hit');
  expectHit({ organization });
  for (const bound of ['p_allowed_models => ARRAY[$2]', `p_allowed_providers => ARRAY['groq', $2]`]) {
    const [{ key }] = await world.database.query(`SELECT api_key AS key FROM holdfast.create_api_key($1, 'bound', ${bound})`, [
      organization.id,
      'gpt-4o',
    ]);
    const refused = await ask({ ...body, model: kModel }, kOn, { key });
    assert.equal(refused.status, 403, refused.text);
    assert.equal(cacheOf(refused), null);
  }
});

test('an error is not kept', async () => {
  const body = question();
  world.replay.next('error_400_context_length');
  assert.equal((await ask(body)).status, 400);
  assert.equal(cacheOf(await askFirst(body)), 'miss');
  expectCall();
});

test('a hit is on record like a call', async () => {
  const body = question();
  await askFirst(body);
  expectCall();
  const hit = await ask(body, { ...kOn, 'X-Correlation-Id': 'order-18', 'X-Holdfast-User': 'ada' });
  expectHit();
  const [row, ...rest] = await world.database.query('SELECT * FROM holdfast.get_audit_log($1, p_request_id => $2)', [
    world.organization.id,
    hit.headers.get('x-holdfast-request'),
  ]);
  assert.equal(rest.length, 0);
  assert.deepEqual(
    [row.event, row.status, row.correlation_id, row.user_id, row.route, row.provider, row.model, row.cost],
    ['cached', 200, 'order-18', 'ada', 'POST /v1/chat/completions', 'openai', kModel, '0'],
  );
});

test('who says other things of themselves gets no other’s answer, though the provider sees no difference', async () => {
  const careful = await world.newOrganization();
  await world.database.query('SELECT holdfast.set_organization_settings($1, p_redact_for_provider => true)', [careful.id]);
  const more = { key: careful.key };
  const asked = question();
  const from = (address) => ({ ...asked, messages: [{ role: 'user', content: `${asked.messages[0].content} of ${address}` }] });
  const first = await askFirst(from('ada@example.com'), kOn, more);
  const said = JSON.stringify(world.replay.requests.at(-1).body);
  assert.ok(said.includes('[REDACTED:EMAIL]') && !said.includes('ada@'), said);
  const again = await ask(from('ada@example.com'), kOn, more);
  assert.equal(cacheOf(again), 'hit');
  assert.equal(again.text, first.text);
  expectHit({ organization: careful });
  assert.equal(cacheOf(await askFirst(from('bob@example.com'), kOn, more)), 'miss');
  for (let calls = 0; calls < 2; calls++) expectCall({ organization: careful });
});

test('the memory saves reading the answer, and decides nothing', async () => {
  const bare = await world.startGateway({ flags: ['--cache-answers', '0'] });
  const body = question();
  const first = await askFirst(body);
  expectCall();
  await world.database.query(`UPDATE holdfast.ai_cache SET answer = replace(answer, '"chat.completion"', '"what stands in the table"')
                               WHERE organization_id = $1`, [world.organization.id]);
  assert.equal((await ask(body)).text, first.text);
  assert.match((await ask(body, kOn, { gateway: bare })).text, /what stands in the table/);
  for (let hits = 0; hits < 2; hits++) expectHit();
  await world.database.query('SELECT holdfast.clear_cache($1)', [world.organization.id]);
  assert.equal(cacheOf(await askFirst(body)), 'miss');
  expectCall();
});

test('of many who ask the same at the same time each gets its own answer, or refusal', async () => {
  const gateway = await world.startGateway({ flags: ['--cache-answers', '0'] });
  const organizations = [world.organization, await world.newOrganization(), await world.newOrganization()];
  const body = question();
  for (const organization of organizations) {
    await askFirst(body, kOn, { key: organization.key, gateway });
    expectCall({ organization });
  }
  await world.database.query(
    `UPDATE holdfast.ai_cache SET answer = replace(answer, '"chat.completion"', '"of ' || organization_id || '"')`);
  const keyOf = async (more) => (await world.database.query(
    `SELECT api_key AS key, api_key_id AS id FROM holdfast.create_api_key($1, 'one of many'${more})`, [world.organization.id]))[0];
  const revoked = await keyOf('');
  await world.database.query('SELECT holdfast.revoke_api_key($1, $2)', [revoked.id, world.organization.id]);
  const bound = await keyOf(`, p_allowed_models => '{gpt-4o}'`);
  const limited = await keyOf(', p_requests_per_minute => 1');
  await ask(body, kOn, { key: limited.key, gateway });
  expectHit();
  const wishes = [];
  for (let round = 0; round < 12; round++) {
    for (const organization of organizations) wishes.push({ key: organization.key, status: 200, organization });
    wishes.push({ key: revoked.key, status: 401 }, { key: bound.key, status: 403 }, { key: limited.key, status: 429 });
    wishes.push({ key: world.organization.key, headers: { 'X-Holdfast-Workflow': randomUUID() }, status: 404 });
  }
  // Nobody is answered before all have come, so that they share transactions.
  const blocker = await world.database.pool.connect();
  await blocker.query('BEGIN; LOCK TABLE holdfast.ai_cache IN ACCESS EXCLUSIVE MODE');
  const asked = Promise.all(wishes.map(({ key, headers }) => ask(body, { ...kOn, ...headers }, { key, gateway })));
  const connections = async () => valueOf(readMetrics((await world.http('GET', '/metrics', { gateway })).text), 'process_open_fds');
  while ((await connections()) < wishes.length) await new Promise((resolve) => setTimeout(resolve, 10));
  await blocker.query('COMMIT');
  blocker.release();
  const answers = await asked;
  for (const [at, { status, organization }] of wishes.entries()) {
    assert.equal(answers[at].status, status, answers[at].text);
    if (!organization) continue;
    assert.equal(cacheOf(answers[at]), 'hit');
    assert.equal(answers[at].json.object, `of ${organization.id}`);
    expectHit({ organization });
  }
  const [{ hits, transactions }] = await world.database.query(
    `SELECT count(*)::int AS hits, count(DISTINCT xmin::text)::int AS transactions FROM holdfast.ai_usage_ledger
      WHERE cache_hit AND organization_id = ANY ($1)`, [organizations.slice(1).map(({ id }) => id)]);
  assert.ok(transactions < hits, `${transactions} transactions for ${hits} hits`);
});

test('without the database there is no hit', async () => {
  const wire = await Wire.to(world.database);
  const gateway = await world.startGateway({ database: wire.conninfo });
  const body = question();
  await askFirst(body, kOn, { gateway });
  expectCall();
  wire.cut();
  const refused = await ask(body, kOn, { gateway });
  assert.equal(refused.status, 503, refused.text);
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  wire.mend();
  assert.equal(cacheOf(await ask(body, kOn, { gateway })), 'hit');
  expectHit();
  await gateway.stop();
  await wire.close();
});
