// Records this process as the owner of something in the state folder, so that others can tell whether it still runs.
import {utimes} from 'node:fs/promises';
import {judgeRecord, type Life, type ProcessRecord, recordThis} from '../core/process-life.js';
import {factsOf} from '../core/process-stat.js';
import {run} from './run.js';

const SIGN_EVERY_MS = 3_600_000;

/** @param touchedAt ms; the time of the file with the record */
export async function lifeOf(record: ProcessRecord, touchedAt: number): Promise<Life> {
  return await judgeRecord(record, touchedAt, startOf);
}

export async function thisProcess(): Promise<ProcessRecord> {
  return await recordThis(startOf);
}

/** Updates the file's time once an hour as a sign of life, until the file is gone. */
export function keepFresh(path: string): void {
  const timer = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => clearInterval(timer));
  }, SIGN_EVERY_MS);
  timer.unref();
}

async function startOf(pid: number): Promise<string> {
  if (process.platform === 'linux') return (await factsOf(pid))?.start ?? '';
  const {code, stdout} = await run('ps', ['-o', 'lstart=', '-p', String(pid)]);
  if (code === -1) throw new Error('ps does not run');
  return stdout.trim();
}
