/** Files that are there whole or not at all. */
import { renameSync, writeFileSync } from 'node:fs';

/** Writes beside, and renames. @throws the system's error */
export function writeWhole(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, content);
  renameSync(temporary, path);
}
