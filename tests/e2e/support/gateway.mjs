// The real gateway as a child process.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export const kProviderKey = 'provider-key-that-nobody-may-see';

// Settings of the tests' environment, which scripts/check gives.
export function environment(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests with \`scripts/check e2e\``);
  return value;
}

export class Gateway {
  #process;
  #ended;
  log = '';

  // Starts it and waits until it listens. `database` is a conninfo; `env` adds to an otherwise empty environment.
  static async start({ database, flags = [], env = {} }) {
    const gateway = new Gateway();
    await gateway.#start(['--listen', '127.0.0.1:0', '--database', database, ...flags], env);
    return gateway;
  }

  // Runs it to its end, for starts that are refused: {code, stdout, stderr}.
  static async run(flags, env = {}) {
    const child = spawn(environment('HOLDFAST_GATEWAY'), flags, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (piece) => (stdout += piece));
    child.stderr.on('data', (piece) => (stderr += piece));
    const [code] = await once(child, 'close');
    return { code, stdout, stderr };
  }

  async #start(flags, env) {
    this.#process = spawn(environment('HOLDFAST_GATEWAY'), flags, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#ended = once(this.#process, 'close').then(([code, signal]) => ({ code, signal }));
    this.#process.stderr.on('data', (piece) => (this.log += piece));
    const lines = createInterface({ input: this.#process.stdout });
    const started = Promise.race([once(lines, 'line'), this.#ended.then(() => [''])]);
    const [line] = await started;
    this.baseUrl = /^holdfast-gateway listening on (https?:\/\/\S+)$/.exec(line)?.[1];
    if (!this.baseUrl) throw new Error(`the gateway did not start: ${line}\n${this.log}`);
  }

  get pid() {
    return this.#process.pid;
  }

  // Sends a signal, without waiting.
  signal(name) {
    this.#process.kill(name);
  }

  // The first line of the log with this event that comes, or came, after `offset` characters of it.
  async logged(event, offset = 0) {
    for (;;) {
      const whole = this.log.slice(offset, this.log.lastIndexOf('\n') + 1);
      const line = whole.split('\n').find((text) => text.includes(`"event":"${event}"`));
      if (line) return JSON.parse(line);
      await once(this.#process.stderr, 'data');
    }
  }

  // What a sanitizer had to say, when it was built with one.
  get complaints() {
    return this.log.match(/(?:WARNING: ThreadSanitizer|ERROR: AddressSanitizer|ERROR: LeakSanitizer|: runtime error:)[^]{0,3000}/)?.[0] ?? '';
  }

  // How it ended: {code, signal}.
  get ended() {
    return this.#ended;
  }

  async stop() {
    this.signal('SIGTERM');
    return this.#ended;
  }
}
