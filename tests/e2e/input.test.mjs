// What becomes of a prompt on its way: normalized for all, redacted where the organization wants that.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { fixture, usageOf } from './support/fixtures.mjs';
import { World } from './support/world.mjs';

let world;
before(async () => (world = await World.create()));
afterEach(() => world.verify());
after(() => world.close());

const kUsage = usageOf(fixture('chat_basic'));
const kPersonal = 'Ask ada@example.com, 555-123-4567, 123-45-6789, 4111 1111 1111 1111.';
const kRedacted = 'Ask [REDACTED:EMAIL], [REDACTED:PHONE], [REDACTED:SSN], [REDACTED:CARD].';

// What the provider was asked, for these messages of a client.
async function asked(path, body, organization = world.organization) {
  world.replay.next('chat_basic');
  const answer = await world.http('POST', path, { body: { model: 'gpt-5-nano', ...body }, key: organization.key });
  assert.equal(answer.status, 200, answer.text);
  world.expectEntry({ model: 'gpt-5-nano', usage: kUsage, organization });
  return world.replay.requests.at(-1).body.messages;
}

test('NUL and blanks at ends of lines are gone, indentation and code are as they were', async () => {
  const text = '\n  First\u0000 \t\r\n\r\n```\r\ncode  \r\n```\r\n\n';
  const clean = '  First\n\n```\ncode  \r\n```';
  for (const [path, body] of [
    ['/v1/chat/completions', { messages: [{ role: 'user', content: text }] }],
    ['/v1/messages', { max_tokens: 100, messages: [{ role: 'user', content: text }] }],
    ['/api/ai/generate', { prompt: text }],
  ]) {
    const [message] = await asked(path, body);
    assert.equal(typeof message.content === 'string' ? message.content : message.content[0].text, clean, path);
  }
});

test('what a tool has read stays as it is', async () => {
  const file = 'a  \r\n\tb\n\n';
  const call = { id: 'c', type: 'function', function: { name: 'read', arguments: '{}' } };
  const messages = await asked('/v1/chat/completions', {
    messages: [
      { role: 'user', content: 'Read it.' },
      { role: 'assistant', tool_calls: [call] },
      { role: 'tool', tool_call_id: 'c', content: file },
    ],
  });
  assert.equal(messages[2].content, file);
});

test('a prompt of blanks alone is none', async () => {
  const answer = await world.http('POST', '/api/ai/generate', { body: { prompt: ' \r\n\u0000\t' } });
  assert.equal(answer.status, 400, answer.text);
});

test('the provider gets the original unless the organization says otherwise, and the client the true answer', async () => {
  const body = { messages: [{ role: 'system', content: kPersonal }, { role: 'user', content: kPersonal }] };
  assert.deepEqual((await asked('/v1/chat/completions', body)).map(({ content }) => content), [kPersonal, kPersonal]);

  const careful = await world.newOrganization();
  await world.database.query('SELECT holdfast.set_organization_settings($1, p_redact_for_provider => true)', [careful.id]);
  assert.deepEqual((await asked('/v1/chat/completions', body, careful)).map(({ content }) => content), [kRedacted, kRedacted]);
  assert.equal((await asked('/api/ai/generate', { prompt: kPersonal }, careful))[0].content, kRedacted);
  assert.deepEqual((await asked('/v1/chat/completions', body)).map(({ content }) => content), [kPersonal, kPersonal]);
});
