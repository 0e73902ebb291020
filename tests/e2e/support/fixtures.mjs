// The recorded answers of OpenAI, as tests/gateway/fixtures keeps them.

import { readFileSync } from 'node:fs';

const kFolder = new URL('../../gateway/fixtures/openai/', import.meta.url);

// fixture('chat_basic') → {request, response: {status, headers, body, body_text}}
export function fixture(name) {
  return JSON.parse(readFileSync(new URL(`${name}.json`, kFolder), 'utf8'));
}

// The bytes that the provider answered with.
export function answerText(recorded) {
  return recorded.response.body_text ?? JSON.stringify(recorded.response.body);
}

// The JSON chunks of a recorded stream, without [DONE].
export function chunksOf(recorded) {
  return recorded.response.body_text
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice('data: '.length)));
}

// What a recorded answer says it used: {prompt, completion, cached}.
export function usageOf(recorded) {
  const usage = recorded.response.body?.usage ?? chunksOf(recorded).find((chunk) => chunk.usage)?.usage;
  if (!usage) throw new Error('this recording has no usage');
  return {
    prompt: usage.prompt_tokens,
    completion: usage.completion_tokens,
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
  };
}
