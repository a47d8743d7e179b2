// Starting workers (worker.js), and what they have told.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));

export class Worker {
  lines = [];
  #waiting = [];

  constructor(task) {
    this.name = task.name;
    this.process = spawn(process.execPath, [WORKER, JSON.stringify(task)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.errors = '';
    this.process.stderr.on('data', (text) => { this.errors += text; });
    const reader = createInterface({ input: this.process.stdout });
    reader.on('line', (text) => {
      let line;
      try {
        line = JSON.parse(text);
      } catch {
        return; // Cut off by the kill.
      }
      this.lines.push(line);
      for (const look of this.#waiting) look();
    });
    this.closed = Promise.all([once(this.process, 'close'), once(reader, 'close')]);
  }

  /** Resolves with the first line for which `test` holds, or undefined at the end. */
  async seen(test) {
    const found = () => this.lines.find(test);
    return found() ?? Promise.race([
      this.closed.then(found),
      new Promise((resolve) => {
        this.#waiting.push(() => { if (found()) resolve(found()); });
      }),
    ]);
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.closed;
  }

  /** Every call with what became of it, in the order in which they were made. */
  get calls() {
    const done = new Map(this.lines.filter((line) => line.done !== undefined)
      .map((line) => [line.done, line]));
    return this.lines.filter((line) => line.call !== undefined)
      .map((line) => ({ ...line, worker: this.name, result: done.get(line.call) }));
  }
}
