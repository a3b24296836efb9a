// Patterns that people write: `*` stands for any characters.

/** `*` stands for any characters, also none. The time grows with the lengths, not with the number of ways to match. */
export function matchesGlob(pattern: string, what: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return pattern === what;
  if (!what.startsWith(first)) return false;
  const last = rest.pop() ?? '';
  let at = first.length;
  for (const piece of rest) {
    const found = what.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return what.length - last.length >= at && what.endsWith(last);
}
