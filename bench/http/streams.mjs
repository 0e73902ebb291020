// Streams for bench/gateway. `first`: one after another on one connection; prints the median time in microseconds from
// the request to the first event. `open N`: opens N, prints `open` when each has its first bytes, and holds them until
// it is ended.

import { connect } from 'node:net';
import { readFileSync } from 'node:fs';

const [mode, url, keyFile, upstream, count] = process.argv.slice(2);
const { hostname, port, pathname } = new URL(url);
const key = readFileSync(keyFile, 'utf8').split('\n')[0];
const body = JSON.stringify({
  model: 'gpt-4o-mini', max_tokens: 64, stream: true,
  messages: [{ role: 'user', content: 'Say in one sentence what a hold is.' }],
});
const request = [
  `POST ${pathname} HTTP/1.1`, `Host: ${hostname}:${port}`, 'Content-Type: application/json',
  `Authorization: Bearer ${key}`, 'x-portkey-provider: openai', `x-portkey-custom-host: ${upstream}`,
  `Content-Length: ${Buffer.byteLength(body)}`, '', body,
].join('\r\n');

function fail(why) {
  console.error(why);
  process.exit(1);
}

function open() {
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  socket.on('error', (error) => fail(error.message));
  return socket;
}

// One stream to its end: the microseconds to its first event.
function measure(socket) {
  return new Promise((resolve) => {
    const begun = process.hrtime.bigint();
    let text = '';
    let took;
    const take = (piece) => {
      text += piece;
      if (took === undefined && text.includes('\ndata: ')) took = Number(process.hrtime.bigint() - begun) / 1000;
      if (!text.includes('data: [DONE]\n\n') || (/chunked/i.test(text) && !text.endsWith('0\r\n\r\n'))) return;
      socket.off('data', take);
      if (!text.startsWith('HTTP/1.1 200')) fail(text);
      resolve(took);
    };
    socket.on('data', take);
    socket.write(request);
  });
}

async function first() {
  const socket = open();
  for (let i = 0; i < 50; i++) await measure(socket);
  const times = [];
  for (let i = 0; i < Number(count); i++) times.push(await measure(socket));
  times.sort((a, b) => a - b);
  console.log(times[times.length >> 1].toFixed(0));
  process.exit(0);
}

function openMany() {
  let waiting = Number(count);
  for (let i = 0; i < Number(count); i++) {
    const socket = open();
    socket.once('data', (piece) => {
      if (!String(piece).startsWith('HTTP/1.1 200')) fail(String(piece));
      if (--waiting === 0) console.log('open');
    });
    socket.on('close', () => fail('a stream was closed'));
    socket.write(request);
  }
}

await (mode === 'first' ? first() : openMany());
