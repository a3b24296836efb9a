// Node's compile cache, in a folder that no other user of the machine can change. Node runs the code that it finds in its
// cache, and by default that is a folder in /tmp, which belongs to the first user who made it.

// An `import` of these reads all their exports, and some exports load further modules.
const {lstatSync, mkdirSync} = process.getBuiltinModule('node:fs');
const {enableCompileCache} = process.getBuiltinModule('node:module');
const {dirname, isAbsolute, resolve} = process.getBuiltinModule('node:path');

const FOR_OTHERS = 0o077;
const MAY_BE_CHANGED = 0o022;
const STICKY = 0o1000;

/** Without a folder that can be trusted there is no cache, and a start takes a few milliseconds longer. */
export function useCompileCache() {
  // Node itself has read what the user has chosen.
  if (process.env.NODE_COMPILE_CACHE || process.env.NODE_DISABLE_COMPILE_CACHE) return;
  try {
    const folder = privateFolder(process.env);
    if (folder !== undefined) enableCompileCache(folder);
  } catch {}
}

/** `$XDG_CACHE_HOME/tunl`, or `~/.cache/tunl`. src/lib/core/compile-cache.ts has the same path. */
function privateFolder({XDG_CACHE_HOME: caches = '', HOME = ''}) {
  const uid = process.getuid?.();
  const parent = isAbsolute(caches)
    ? resolve(caches)
    : isAbsolute(HOME)
      ? resolve(HOME, '.cache')
      : undefined;
  // On Windows nothing says who may write to a folder.
  if (uid === undefined || parent === undefined) return undefined;
  const isTrusted = ({uid: owner, mode}) =>
    (owner === uid || owner === 0) && ((mode & MAY_BE_CHANGED) === 0 || (mode & STICKY) !== 0);
  // Whoever may write to a folder above can put another one in its place. In a sticky folder nobody can.
  for (let path = dirname(parent); ; path = dirname(path)) {
    if (!isTrusted(folderAt(path))) return undefined;
    if (path === dirname(path)) break;
  }
  const folder = resolve(parent, 'tunl');
  if (!isTrusted(madeFolder(parent))) return undefined;
  // Node lets everybody write to the folders that it makes in it, as far as the umask does.
  const {uid: owner, mode} = madeFolder(folder);
  return owner === uid && (mode & FOR_OTHERS) === 0 ? folder : undefined;
}

/** @throws when there is none: a link is not followed, because its owner may change it */
function folderAt(path) {
  const found = lstatSync(path);
  if (!found.isDirectory()) throw new Error(`${path} is no folder`);
  return found;
}

function madeFolder(path) {
  if (lstatSync(path, {throwIfNoEntry: false}) === undefined) mkdirSync(path, {mode: 0o700});
  return folderAt(path);
}
