// The functions of `node:fs/promises` without that module, which loads readline and more with it (1.5 MB and 2 ms at each
// start). Modules import 'node:fs/promises' as usual; scripts/bundle.js puts this one in its place.

import type * as promises from 'node:fs/promises';

type Fs = typeof promises;

const fs = process.getBuiltinModule('node:fs');
const {promisify} = process.getBuiltinModule('node:util');

export const access = promisify(fs.access) as Fs['access'];
export const chmod = promisify(fs.chmod) as Fs['chmod'];
export const chown = promisify(fs.chown) as Fs['chown'];
export const link = promisify(fs.link) as Fs['link'];
export const lstat = promisify(fs.lstat) as Fs['lstat'];
export const mkdir = promisify(fs.mkdir) as Fs['mkdir'];
export const mkdtemp = promisify(fs.mkdtemp) as Fs['mkdtemp'];
export const readdir = promisify(fs.readdir) as Fs['readdir'];
export const readFile = promisify(fs.readFile) as Fs['readFile'];
export const readlink = promisify(fs.readlink) as Fs['readlink'];
export const realpath = promisify(fs.realpath.native) as Fs['realpath'];
export const rename = promisify(fs.rename) as Fs['rename'];
export const rm = promisify(fs.rm) as Fs['rm'];
export const rmdir = promisify(fs.rmdir) as Fs['rmdir'];
export const stat = promisify(fs.stat) as Fs['stat'];
export const statfs = promisify(fs.statfs) as Fs['statfs'];
export const utimes = promisify(fs.utimes) as Fs['utimes'];
export const writeFile = promisify(fs.writeFile) as Fs['writeFile'];
export const {constants} = fs;

/** The class of a handle is in the module, so the first open file loads it. */
export const open: Fs['open'] = (...options) => process.getBuiltinModule('node:fs/promises').open(...options);
