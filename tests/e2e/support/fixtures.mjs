// The recorded answers of the providers, as tests/gateway/fixtures keeps them.

import { readFileSync, readdirSync } from 'node:fs';

const kFolder = new URL('../../gateway/fixtures/', import.meta.url);

// fixture('chat_basic') is OpenAI's, fixture('groq/chat_basic') another's:
// {request, response: {status, headers, body, body_text}}
export function fixture(name) {
  return JSON.parse(readFileSync(fileOf(name, 'json'), 'utf8'));
}

function fileOf(name, ending) {
  return new URL(`${name.includes('/') ? name : `openai/${name}`}.${ending}`, kFolder);
}

// The names of all recordings of a provider, as fixture() takes them.
export function recordingsOf(provider) {
  return readdirSync(new URL(`${provider}/`, kFolder))
    .filter((file) => file.endsWith('.json'))
    .map((file) => `${provider}/${file.slice(0, -'.json'.length)}`)
    .sort();
}

// The model that a recorded request asked for, in Gemini's its path; any where the request was not recorded.
export function modelOf({ request, response }) {
  return request.body?.model ?? /models\/([^:]+)/.exec(request.path)?.[1] ?? response.body?.model ?? 'a-model';
}

const kToken =
  /\[(\d+)\]|(call)(\d*)(?= )|cites|(?:from|to) \d+|usage (\d+)\+(\d+) cached (\d+) written (\d+) reasoning (\d+)( estimated)?(?: cost (\S+))?|error (\w+) (\d+)|retry (\d+)|maybe_charged|done|(\w+)=("(?:[^"\\]|\\.)*")|logprobs=\S+/g;

// What a recording must be read as, by the `.expected.txt` beside it, which was made apart from the adapters:
// {choices: [{content, reasoning, calls: [{id, name, arguments}], urls, finish}], usage, error}.
export function expectedOf(name) {
  if (!name.includes('/') || name.startsWith('openai/')) return expectedOfOpenAi(fixture(name));
  const lines = readFileSync(fileOf(name, 'expected.txt'), 'utf8').split('\n');
  if (!name.split('/').at(-1).startsWith('stream') && lines.length > 2) lines.shift(); // id, model, time
  const whole = { choices: [], usage: undefined, error: undefined };
  for (const line of lines) readExpectedLine(line, whole);
  return whole;
}

// OpenAI's recordings have none beside them: they are in the shape that is read.
function expectedOfOpenAi(recorded) {
  const { status, body } = recorded.response;
  if (status !== 200) return { choices: [], error: { status, message: body.error.message, code: body.error.code } };
  const whole = { choices: [], usage: undefined, error: undefined };
  for (const part of body ? [body] : chunksOf(recorded)) {
    if (part.usage) whole.usage = countsOf(part.usage);
    for (const { index, message, delta, finish_reason: finish } of part.choices) {
      const said = message ?? delta;
      const choice = (whole.choices[index] ??= { content: '', reasoning: '', calls: [], urls: [], finish: undefined });
      choice.content += said.content ?? '';
      choice.finish = finish ?? choice.finish;
      for (const [position, { index: at = position, id, function: called }] of (said.tool_calls ?? []).entries()) {
        const call = (choice.calls[at] ??= { id: '', name: '', arguments: '' });
        call.id += id ?? '';
        call.name += called.name ?? '';
        call.arguments += called.arguments ?? '';
      }
    }
  }
  return whole;
}

function countsOf(usage) {
  return {
    prompt: usage.prompt_tokens,
    completion: usage.completion_tokens,
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    written: 0,
    reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0,
    estimated: false,
  };
}

function readExpectedLine(line, whole) {
  let choice;
  let call;
  for (const match of line.matchAll(kToken)) {
    const [token, index, isCall, callIndex, prompt, completion, cached, written, reasoning, estimated, cost] = match;
    const [errorClass, status, , name, text] = match.slice(11);
    if (index !== undefined) {
      choice = whole.choices[index] ??= { content: '', reasoning: '', calls: [], urls: [], finish: undefined };
      call = undefined;
    } else if (isCall) {
      call = choice.calls[callIndex === '' ? choice.calls.length : Number(callIndex)] ??= { id: '', name: '', arguments: '' };
    } else if (token.startsWith('usage')) {
      const counts = { prompt, completion, cached, written, reasoning };
      whole.usage = Object.fromEntries(Object.entries(counts).map(([key, value]) => [key, Number(value)]));
      Object.assign(whole.usage, { estimated: Boolean(estimated), cost });
    } else if (errorClass) {
      whole.error = { class: errorClass, status: Number(status) };
    } else if (name) {
      takeExpected({ name, value: JSON.parse(text), choice, call, error: whole.error });
    }
  }
}

function takeExpected({ name, value, choice, call, error }) {
  if (error) error[name] = value;
  else if (name === 'url') choice.urls.push(value);
  else if (name === 'finish') choice.finish = value;
  else if (call && name in call) call[name] += value;
  else if (name === 'content' || name === 'reasoning') choice[name] += value;
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
