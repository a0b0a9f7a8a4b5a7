/** Folders on disk, where Node's own way does not do. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { systemCode } from './errors/system.js';

/**
 * Makes a folder with those above it; one that is there is fine. Node's own `recursive` goes round for ever where a folder that is
 * there refuses others with ENOENT, as /proc does, until memory is used up (Node 20).
 * @throws the system's error
 */
export function makeFolderSync(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if (systemCode(error) === 'EEXIST' && isFolder(path)) return;
    const parent = dirname(path);
    if (systemCode(error) !== 'ENOENT' || parent === path || isFolder(parent)) throw error;
    makeFolderSync(parent);
    makeFolderSync(path);
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
