// The package as its users get it: packed, and installed in a folder of its own.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** A program that the repository has installed. */
export const bin = (name) => path.join(root, 'node_modules/.bin', name);

/** Runs a program and returns what it prints; when it fails, the error has its output. */
export function run(program, args, { cwd, env = {} }) {
  try {
    const options = { cwd, encoding: 'utf8', stdio: 'pipe', env: { ...process.env, ...env } };
    return execFileSync(program, args, options);
  } catch (error) {
    throw new Error(`${program} ${args.join(' ')}\n${error.stdout}${error.stderr}`);
  }
}

/** An empty project in which the packed package is installed, and nothing else. */
export function makeProject() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sealvec-package-'));
  const write = (name, text) => {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  };
  const options = ['--json', '--ignore-scripts', '--pack-destination', folder];
  const packed = run('npm', ['pack', ...options], { cwd: root });
  const tarball = path.join(folder, JSON.parse(packed)[0].filename);
  write('package.json', '{ "private": true }');
  run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: folder });
  const remove = () => fs.rmSync(folder, { recursive: true, force: true });
  return { folder, tarball, write, remove };
}
