/** Finding duplicate keys, which JSON.parse silently merges (the last one wins) and a strict format must refuse. */

/**
 * The first key that one object of `text` names twice, or undefined. `text` must already have passed JSON.parse: the
 * scan relies on it being well-formed. Keys are compared after unescaping, so "a" and "\u0061" are the same key.
 */
export function duplicateKey(text: string): string | undefined {
  const open: (Set<string> | 'array')[] = [];
  let at = 0;
  while (at < text.length) {
    const character = text[at];
    if (character === '"') {
      const end = stringEnd(text, at);
      const keys = open.at(-1);
      if (keys instanceof Set && followedByColon(text, end)) {
        const key = String(JSON.parse(text.slice(at, end)));
        if (keys.has(key)) return key;
        keys.add(key);
      }
      at = end;
      continue;
    }
    if (character === '{') open.push(new Set());
    else if (character === '[') open.push('array');
    else if (character === '}' || character === ']') open.pop();
    at += 1;
  }
  return undefined;
}

function stringEnd(text: string, quote: number): number {
  let at = quote + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function followedByColon(text: string, from: number): boolean {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at += 1;
  return text[at] === ':';
}
