// `exec ID ls -l`, as docker reads it: everything after the first argument belongs to the command inside.

interface Flag {
  readonly type: 'boolean' | 'option';
  readonly char?: string | undefined;
}

export type Flags = Readonly<Record<string, Flag>>;

/** The words with `--` before the command, if it was left out. @param flags of the command itself; all others have no value */
export function withDashes(words: readonly string[], flags: Flags): string[] {
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    if (word === '--') return [...words];
    if (!word.startsWith('-') || word === '-') {
      const rest = words.slice(at + 1);
      // Flags of tunl may follow the ID, as with other commands. No program has a name that begins like one.
      const isOwn = rest[0] === undefined || rest[0].startsWith('-');
      return isOwn ? [...words] : [...words.slice(0, at + 1), '--', ...rest];
    }
    if (takesNext(word, flags)) at += 1;
  }
  return [...words];
}

function takesNext(word: string, flags: Flags): boolean {
  if (word.includes('=')) return false;
  if (word.startsWith('--')) return word === '--log-level' || flags[word.slice(2)]?.type === 'option';
  return Object.values(flags).some(
    ({type, char}) => type === 'option' && char !== undefined && word.endsWith(char),
  );
}
