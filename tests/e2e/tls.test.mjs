// The gateway's own TLS: the same API over https, and nothing else on that port.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import tls from 'node:tls';
import { chunksOf, fixture, usageOf } from './support/fixtures.mjs';
import { Gateway } from './support/gateway.mjs';
import { World } from './support/world.mjs';

const kCall = { model: 'gpt-5-nano', max_tokens: 400, messages: [{ role: 'user', content: 'Hello!' }] };
const kStream = { model: 'gpt-4', max_tokens: 400, stream: true, messages: [{ role: 'user', content: 'Hello!' }] };
const kUsage = usageOf(fixture('chat_basic'));
// The gateway reads so much at a time, and TLS has up to 16 KB in a record.
const kReadBytes = 8192;
const kSlow = 16;

let world;
let gateway; // over TLS, with room for fewer calls than there are slow handshakes
let folder;
let first;
let second;
let silent; // connections that begin a handshake and go on by the byte, from the first test to the last

// A certificate for 127.0.0.1 that nobody but itself has signed: {certificate, key} are its files, `ca` its text.
function makeCertificate(name) {
  const files = { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', files.key];
  execFileSync('openssl', ['req', '-x509', ...key, ...subject, '-out', files.certificate], { stdio: 'ignore' });
  return { ...files, ca: readFileSync(files.certificate, 'utf8') };
}

// What the gateway reads, which changes.
function install({ certificate, key }) {
  copyFileSync(certificate, join(folder, 'live.pem'));
  copyFileSync(key, join(folder, 'live.key'));
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-tls-'));
  first = makeCertificate('first');
  second = makeCertificate('second');
  install(first);
  world = await World.create();
  gateway = await world.startGateway({
    flags: ['--threads', '4', '--tls-certificate', join(folder, 'live.pem'), '--tls-key', join(folder, 'live.key')],
  });
  silent = Array.from({ length: kSlow }, (_, index) => dripHandshake(index));
  await Promise.all(silent.map(({ opened }) => opened));
});
afterEach(() => world.verify());
after(async () => {
  await world.close();
  rmSync(folder, { recursive: true });
});

const portOf = ({ baseUrl }) => Number(new URL(baseUrl).port);

// Half of them send nothing more than the first bytes of a handshake, the others one byte after the other.
function dripHandshake(index) {
  const socket = net.connect(portOf(gateway), '127.0.0.1').on('error', () => {});
  const begin = Buffer.from('16030102000100', 'hex');
  const opened = once(socket, 'connect').then(() => socket.write(begin));
  const timer = setInterval(() => index % 2 === 0 && socket.writable && socket.write('\x01'), 100);
  const closed = once(socket.resume(), 'close').then(() => clearInterval(timer));
  return { opened, closed };
}

// One call over https: {status, headers, text, socket}; `begun` gets the answer while it comes.
async function call(body, { ca = first.ca, agent, begun = () => {} } = {}) {
  const headers = { authorization: `Bearer ${world.organization.key}`, 'content-type': 'application/json' };
  const request = https.request(`${gateway.baseUrl}/v1/chat/completions`, {
    method: 'POST',
    headers,
    ca,
    agent: agent ?? false,
    ALPNProtocols: ['http/1.1'],
  });
  request.end(JSON.stringify(body));
  const [response] = await once(request, 'response');
  begun(request, response);
  let text = '';
  for await (const piece of response) text += piece;
  return { status: response.statusCode, headers: response.headers, text, socket: request.socket };
}

async function goodCall(options) {
  world.replay.next('chat_basic');
  const answer = await call(kCall, options);
  assert.equal(answer.status, 200, answer.text);
  world.expectEntry({ model: 'gpt-5-nano', usage: kUsage });
  return answer;
}

// Sends SIGHUP and waits for what the gateway says of it.
async function reload(event) {
  const offset = gateway.log.length;
  gateway.signal('SIGHUP');
  return gateway.logged(event, offset);
}

test('a call over https, while others are slow with their handshakes', async () => {
  assert.match(gateway.baseUrl, /^https:/);
  const { socket, text, headers } = await goodCall();
  assert.equal(JSON.parse(text).choices[0].message.content, fixture('chat_basic').response.body.choices[0].message.content);
  assert.ok(headers['x-holdfast-request']);
  assert.equal(socket.authorized, true);
  assert.equal(socket.getProtocol(), 'TLSv1.3');
  assert.equal(socket.alpnProtocol, 'http/1.1');
});

test('a stream over https', async () => {
  world.replay.next('stream_basic');
  const { status, text } = await call(kStream);
  assert.equal(status, 200, text);
  const said = text.split('\n').filter((line) => line.startsWith('data: {'));
  const words = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
  assert.equal(words(said.map((line) => JSON.parse(line.slice(6)))), words(chunksOf(fixture('stream_basic'))));
  assert.ok(text.endsWith('data: [DONE]\n\n'), text);
  world.expectEntry({ model: 'gpt-4', usage: usageOf(fixture('stream_basic')) });
});

test('a client that leaves its stream: the provider’s stream is closed, what came is settled', async () => {
  const planned = world.replay.next('stream_basic', { waitsAfterEvents: 4 });
  const left = call(kStream, { begun: (request, response) => response.once('data', () => request.destroy()) });
  await assert.rejects(left);
  await planned.closed;
  await world.settled();
  const entry = await world.takeEntry('openai');
  assert.equal(entry.estimated, true);
});

test('a connection is kept for several calls', async () => {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca: first.ca });
  const sockets = new Set();
  for (let calls = 0; calls < 4; calls++) sockets.add((await goodCall({ agent })).socket);
  assert.equal(sockets.size, 1);
  agent.destroy();
});

test('a call that was decrypted together with the one before it is answered', async () => {
  const headers = (length) =>
    `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${world.organization.key}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
  const body = JSON.stringify(kCall);
  const room = kReadBytes - headers(kReadBytes).length;
  const calls = headers(room) + body.padEnd(room) + headers(body.length) + body; // spaces after the JSON
  world.replay.next('chat_basic');
  world.replay.next('chat_basic');
  const socket = tls.connect({ port: portOf(gateway), host: '127.0.0.1', ca: first.ca, maxVersion: 'TLSv1.2' });
  await once(socket, 'secureConnect');
  socket.write(calls);
  let answers = '';
  for await (const piece of socket) {
    answers += piece;
    if (answers.split('HTTP/1.1 200 OK').length === 3 && answers.endsWith('}')) break;
  }
  for (let calls = 0; calls < 2; calls++) world.expectEntry({ model: 'gpt-5-nano', usage: kUsage });
});

test('plain HTTP is told to use TLS, and not served', async () => {
  const socket = net.connect(portOf(gateway), '127.0.0.1');
  socket.write(`GET /api/ai/providers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${world.organization.key}\r\n\r\n`);
  let answer = '';
  for await (const piece of socket) answer += piece;
  assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
  assert.match(answer, /"code":"tls_required"/);
});

test('a client that wants another protocol, or does not trust the certificate, gets no connection', async () => {
  await assert.rejects(call(kCall, { ca: second.ca }), /self-signed certificate/i);
  const socket = tls.connect({ port: portOf(gateway), host: '127.0.0.1', ca: first.ca, ALPNProtocols: ['h2'] });
  await assert.rejects(once(socket, 'secureConnect'), /alert/i);
});

test('a new certificate is taken by SIGHUP; connections that are open go on', async () => {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca: first.ca });
  const { socket } = await goodCall({ agent });
  install(second);
  await reload('reloaded');
  assert.equal((await goodCall({ agent })).socket, socket);
  agent.destroy();
  await goodCall({ ca: second.ca });
  await assert.rejects(call(kCall, { ca: first.ca }), /self-signed certificate/i);
});

test('a certificate and a key that do not fit each other are refused whole', async () => {
  copyFileSync(first.key, join(folder, 'live.key'));
  const { message } = await reload('reload_refused');
  assert.match(message, /live\.key has no private key.* of .*live\.pem/);
  await goodCall({ ca: second.ca });
});

test('without both files, or with those that do not fit each other, it does not start', async () => {
  const refused = async (...flags) => {
    const { code, stderr } = await Gateway.run(['--database', 'dbname=x', ...flags]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /--tls-certificate and --tls-key/);
    return stderr;
  };
  await refused('--tls-certificate', first.certificate);
  await refused('--tls-key', first.key);
  assert.match(await refused('--tls-certificate', first.certificate, '--tls-key', second.key), /values mismatch/);
  assert.match(await refused('--tls-certificate', join(folder, 'none'), '--tls-key', first.key), /none has no certificate/);
  const broken = join(folder, 'broken.key');
  writeFileSync(broken, 'nothing that is a key');
  assert.match(await refused('--tls-certificate', first.certificate, '--tls-key', broken), /broken\.key has no private key/);
});

test('a handshake that is slow ends with its connection', () => Promise.all(silent.map(({ closed }) => closed)));
