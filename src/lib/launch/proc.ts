// Reads facts about a process from /proc; undefined for one that has ended, and on systems other than Linux.
import {readdir, readFile} from 'node:fs/promises';

export async function pidsOf(): Promise<number[]> {
  const names = await readdir('/proc').catch(() => []);
  return names.map(Number).filter(Number.isInteger);
}

/** The user who started it: a setuid program has the rights of another user, and still belongs to this one. */
export async function realUidOf(pid: number): Promise<number | undefined> {
  return (await uidsOf(pid))[0];
}

/** All users whose rights it has or had: real, effective, saved and for files. */
export async function uidsOf(pid: number): Promise<number[]> {
  const uids = /^Uid:((?:\t\d+)+)/m.exec(await readProc(pid, 'status'))?.[1];
  return uids === undefined ? [] : uids.trim().split('\t').map(Number);
}

/** `NAME=value` for each variable of its start; empty for a process of another user. */
export async function environmentOf(pid: number): Promise<string[]> {
  return (await readProc(pid, 'environ')).split('\0');
}

async function readProc(pid: number, name: string): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/${name}`, 'latin1');
  } catch {
    return '';
  }
}
