// Every mistake of a caller has its status and its shape, and changes nothing.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { World } from './support/world.mjs';

let world;
let other;
before(async () => {
  world = await World.create();
  other = await world.newOrganization();
  other.workflow = await world.database.workflow(other.id);
});
afterEach(async () => {
  await world.verify();
  assert.deepEqual(world.replay.requests, [], 'no provider is called');
  assert.equal(await world.database.value('SELECT count(*)::int FROM holdfast.holds'), 0, 'no hold was ever made');
});
after(() => world.close());

const kMessages = [{ role: 'user', content: 'Hello!' }];
const kLongText = 'a'.repeat(51 * 1024);
const kBadBytes = Buffer.from([0xc3, 0x28, 0xed, 0xa0, 0x80]);

function withBytes(bytes, before, after) {
  return Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)]);
}

// name, body of /v1/chat/completions, body of /api/ai/generate, status, and what else the request carries.
const kCases = [
  ['malformed JSON', '{"model": "gpt-5-nano", ', '{"prompt": ', 400],
  ['a body that is no object', '[1, 2]', '"Hello"', 400],
  ['NaN, which is not JSON', '{"temperature": NaN}', '{"prompt": "Hello!", "temperature": NaN}', 400],
  ['Infinity, which is not JSON', '{"max_tokens": Infinity}', '{"prompt": "Hello!", "maxTokens": -Infinity}', 400],
  ['a number beyond every range', '{"temperature": 1e999}', '{"prompt": "Hello!", "temperature": 1e999}', 400],
  ['a text of the wrong type', { model: 7, messages: kMessages }, { prompt: ['Hello!'] }, 400],
  ['a number of the wrong type', { model: 'gpt-5-nano', messages: kMessages, max_tokens: '9' }, { prompt: 'Hello!', maxTokens: '9' }, 400],
  ['a missing prompt', { model: 'gpt-5-nano' }, { model: 'gpt-5-nano' }, 400],
  ['an empty prompt', { model: 'gpt-5-nano', messages: [] }, { prompt: '' }, 400],
  ['an unknown model', { model: 'nobody-made-this', messages: kMessages }, { prompt: 'Hello!', model: 'nobody-made-this' }, 422],
  ['no tokens to make', { model: 'gpt-5-nano', messages: kMessages, max_tokens: 0 }, { prompt: 'Hello!', maxTokens: 0 }, 400],
  ['a negative max_tokens', { model: 'gpt-5-nano', messages: kMessages, max_tokens: -5 }, { prompt: 'Hello!', maxTokens: -5 }, 400],
  ['a huge max_tokens', { model: 'gpt-5-nano', messages: kMessages, max_tokens: 128001 }, { prompt: 'Hello!', maxTokens: 128001 }, 400],
  ['max_tokens beyond 64 bits', `{"model":"gpt-5-nano","messages":[],"max_tokens":1${'0'.repeat(30)}}`, `{"prompt":"Hello!","maxTokens":1${'0'.repeat(30)}}`, 400],
  ['half a token', { model: 'gpt-5-nano', messages: kMessages, max_tokens: 1.5 }, { prompt: 'Hello!', maxTokens: 1.5 }, 400],
  ['a prompt of 51 KB', { model: 'gpt-5-nano', messages: [{ role: 'user', content: kLongText }] }, { prompt: kLongText }, 413],
  ['invalid UTF-8', withBytes(kBadBytes, '{"model":"gpt-5-nano","messages":[{"role":"user","content":"', '"}]}'), withBytes(kBadBytes, '{"prompt":"', '"}'), 400],
  ['a NUL in a text that is no prompt', '{"model":"gpt-5-nano","user":"a\\u0000b","messages":[{"role":"user","content":"a"}]}', '{"prompt":"a","userId":"a\\u0000b"}', 400],
  ['a NUL byte', withBytes(Buffer.from([0]), '{"model":"gpt-5-nano","messages":[{"role":"user","content":"', '"}]}'), withBytes(Buffer.from([0]), '{"prompt":"', '"}'), 400],
  ['a nest of 10,000 arrays', '['.repeat(10000), '['.repeat(10000), 400],
  ['no key', undefined, undefined, 401, { key: null }],
  ['something that is no key', undefined, undefined, 401, { key: 'sk-123' }],
  ['a key that nobody made', undefined, undefined, 401, { key: `hf_${'0'.repeat(32)}_${'A'.repeat(43)}` }],
  ['another organization’s name', undefined, undefined, 403, { headers: { 'X-Holdfast-Organization': randomUUID() } }],
  ['a workflow that is no uuid', undefined, undefined, 400, { headers: { 'X-Holdfast-Workflow': 'mine' } }],
  ['an unknown workflow', undefined, undefined, 404, { headers: { 'X-Holdfast-Workflow': randomUUID() } }],
  ['an idempotency key of 256 bytes', undefined, undefined, 400, { headers: { 'Idempotency-Key': 'k'.repeat(256) } }],
];

const kGood = {
  '/v1/chat/completions': { model: 'gpt-5-nano', messages: kMessages },
  '/api/ai/generate': { prompt: 'Hello!', model: 'gpt-5-nano' },
};

// A refusal in the shape of its side of the API, without a word that only the gateway's maker understands.
function verifyRefusal(path, answer, status) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers.get('content-type'), /^application\/json/);
  assert.ok(answer.headers.get('x-holdfast-request'));
  if (path.startsWith('/v1')) {
    assert.deepEqual(Object.keys(answer.json), ['error']);
    assert.deepEqual(Object.keys(answer.json.error).sort(), ['code', 'message', 'param', 'type']);
    assert.match(answer.json.error.code, /^[a-z][a-z0-9_]*$/);
    assert.ok(answer.json.error.message.length > 10);
  } else {
    assert.equal(answer.json.success, false);
    assert.match(answer.json.code, /^[a-z][a-z0-9_]*$/);
    assert.ok(answer.json.error.length > 10);
    assert.equal(answer.json.requestId, answer.headers.get('x-holdfast-request'));
  }
  assert.doesNotMatch(answer.text, /SQLSTATE|PT4\d\d|pg_|std::|nlohmann|terminate/);
}

for (const [name, chat, generate, status, request = {}] of kCases) {
  for (const [path, body] of [
    ['/v1/chat/completions', chat],
    ['/api/ai/generate', generate],
  ]) {
    test(`${name} is ${status} on ${path}`, async () => {
      const answer = await world.http('POST', path, { body: body ?? kGood[path], ...request });
      verifyRefusal(path, answer, status);
    });
  }
}

for (const path of Object.keys(kGood)) {
  test(`another organization’s workflow is 403 on ${path}`, async () => {
    const headers = { 'X-Holdfast-Workflow': other.workflow };
    verifyRefusal(path, await world.http('POST', path, { body: kGood[path], headers }), 403);
  });

  test(`a revoked key is 401 on ${path}`, async () => {
    const { key, keyId } = await world.database.key(world.organization.id);
    await world.database.query('SELECT holdfast.revoke_api_key(p_api_key_id => $1, p_organization_id => $2)', [
      keyId,
      world.organization.id,
    ]);
    verifyRefusal(path, await world.http('POST', path, { body: kGood[path], key }), 401);
  });

  test(`a body beyond the limit is 413 on ${path}`, async () => {
    verifyRefusal(path, await world.http('POST', path, { body: Buffer.alloc(1048577, 0x20) }), 413);
  });
}

test('an unknown route is 404 in the shape of its side', async () => {
  verifyRefusal('/v1/nothing', await world.http('GET', '/v1/nothing'), 404);
  verifyRefusal('/api/nothing', await world.http('GET', '/api/nothing'), 404);
});

test('a wrong method is 405, and told which is right', async () => {
  const answer = await world.http('GET', '/v1/chat/completions');
  verifyRefusal('/v1/chat/completions', answer, 405);
  assert.equal(answer.headers.get('allow'), 'POST');
});

test('an empty idempotency key in the body is 400', async () => {
  const answer = await world.http('POST', '/api/ai/generate', { body: { prompt: 'Hello!', idempotencyKey: '' } });
  verifyRefusal('/api/ai/generate', answer, 400);
});

test('a body that is no JSON by its type is 415', async () => {
  const answer = await world.http('POST', '/api/ai/generate', {
    body: kGood['/api/ai/generate'],
    headers: { 'content-type': 'text/plain' },
  });
  verifyRefusal('/api/ai/generate', answer, 415);
});

for (const cost of ['NaN', 'Infinity', '-Infinity', '-1']) {
  test(`a hold of ${cost} USD is PT400 in SQL`, async () => {
    const workflow = await world.database.workflow(world.organization.id);
    await assert.rejects(
      world.database.query('SELECT * FROM holdfast.hold_workflow_cost($1, $2, $3::numeric)', [
        workflow,
        world.organization.id,
        cost,
      ]),
      { code: 'PT400' },
    );
  });
}

test('a hold on an unknown uuid is PT404 in SQL', async () => {
  await assert.rejects(
    world.database.query('SELECT * FROM holdfast.hold_workflow_cost($1, $2, 0.01)', [
      randomUUID(),
      world.organization.id,
    ]),
    { code: 'PT404' },
  );
});
